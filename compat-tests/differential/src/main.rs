//! The differential test: one table of requests is sent as the same bytes to Apache Kafka and to
//! Gregor, and their answers are compared field by field.
//!
//! `differential --kafka HOST:PORT,HOST:PORT --gregor HOST:PORT,HOST:PORT [--only GROUP]
//! [--show] [--transactions | --acls] [--source ADDRESS]`. The second port is the controller's.
//! Both brokers are new and have the same settings; the script `run` beside this crate starts
//! them. With `--transactions` they have `transaction.version` 0. With `--acls` they have an
//! authorizer, and the rows add and remove ACLs. `--source` is the address of this machine from
//! which rows are sent: ACLs know the client by it. `allowed` lists what may differ, with
//! reasons. `rows` holds the rows, one file for each group of APIs. A row fails if anything
//! else differs: `DIFFERS row: field: Kafka's / Gregor's`.

mod allowed;
mod answers;
mod batches;
mod compare;
mod contents;
mod rows;
mod run;
mod side;

use anyhow::{Context, Result, bail};
use run::Run;
use side::{Listeners, Side};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    let (mut kafka, mut gregor, mut only, mut show, mut groups) = (None, None, None, false, rows::GROUPS);
    let mut source = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "--kafka" => kafka = words.next(),
            "--gregor" => gregor = words.next(),
            "--only" => only = words.next(),
            "--show" => show = true,
            "--acls" => groups = rows::acls::GROUPS,
            "--source" => source = words.next(),
            "--transactions" => groups = rows::transactions::GROUPS,
            _ => bail!(
                "usage: differential --kafka HOST:PORT,HOST:PORT --gregor HOST:PORT,HOST:PORT [--only GROUP] [--show] [--transactions | --acls] [--source ADDRESS]"
            ),
        }
    }
    let source = source.map(|text| text.parse()).transpose().context("--source")?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let sides = [
        Side::new("Kafka", listeners(kafka.as_deref().context("--kafka")?)?, source, now),
        Side::new("Gregor", listeners(gregor.as_deref().context("--gregor")?)?, source, now),
    ];
    let mut run = Run::new(sides, show);
    allowed::print();
    for (group, rows) in groups {
        if only.as_deref().is_none_or(|only| only == *group) {
            let before = run.rows();
            rows(&mut run);
            println!("{group}: {} rows", run.rows() - before);
        }
    }
    Ok(if run.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Parses the address of the broker and that of the controller.
fn listeners(text: &str) -> Result<Listeners> {
    let (broker, controller) = text.split_once(',').with_context(|| format!("no controller's address in {text}"))?;
    Ok(Listeners { broker: address(broker)?, controller: address(controller)? })
}

fn address(text: &str) -> Result<SocketAddr> {
    text.to_socket_addrs()?.next().with_context(|| format!("no address for {text}"))
}
