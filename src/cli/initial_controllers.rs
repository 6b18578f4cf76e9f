//! `--initial-controllers`: the first voters of a quorum, as `ID@HOST:PORT:DIRECTORY`, separated by
//! commas. The messages are Kafka's.

use anyhow::{Context as _, bail};
use model::{BrokerId, DirectoryId, java_number};
use raft::{Endpoint, ReplicaKey, Voter};

/// The levels of `kraft.version` that Kafka writes for each of these voters.
const KRAFT_VERSIONS: (i16, i16) = (0, 1);

/// Parses the voters. `listener` is the name of their controller listener. Errors: an entry is not
/// a voter, an id is there twice, or there is no voter.
pub(super) fn parse(text: &str, listener: &str) -> anyhow::Result<Vec<Voter>> {
    let mut voters: Vec<Voter> = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let voter = voter(entry, listener)?;
        if voters.iter().any(|other| other.key.id == voter.key.id) {
            bail!("Node id {} was specified more than once.", voter.key.id);
        }
        voters.push(voter);
    }
    if voters.is_empty() {
        bail!("No voters given.");
    }
    Ok(voters)
}

fn voter(entry: &str, listener: &str) -> anyhow::Result<Voter> {
    let (id, rest) = entry.split_once('@').context("No @ found in dynamic voter string.")?;
    if id.is_empty() {
        bail!("Invalid @ at beginning of dynamic voter string.");
    }
    let id = java_number::parse_int(id).context("Failed to parse node id in dynamic voter string.")?;
    if id < 0 {
        bail!("Invalid negative node id {id} in dynamic voter string.");
    }
    if rest.is_empty() {
        bail!("No hostname found after node id.");
    }
    let (host, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            rest.split_once(']').context("Hostname began with left bracket, but no right bracket was found.")?
        }
        None => rest.split_at(rest.find(':').context("No colon following hostname could be found.")?),
    };
    let rest = rest.strip_prefix(':').context("Port section must start with a colon.")?;
    let (port, directory) = rest.split_once(':').context("No colon following port could be found.")?;
    let port = java_number::parse_int(port).context("Failed to parse port in dynamic voter string.")?;
    let port = u16::try_from(port).ok().with_context(|| format!("Invalid port {port} in dynamic voter string."))?;
    let directory: DirectoryId =
        directory.parse().ok().context("Failed to parse directory ID in dynamic voter string.")?;
    Ok(Voter {
        key: ReplicaKey { id: BrokerId(id), directory_id: Some(directory) },
        endpoints: vec![Endpoint { listener: listener.into(), host: host.into(), port }],
        kraft_versions: KRAFT_VERSIONS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Apache Kafka's answers.
    #[test]
    fn voters_are_read_as_kafka_reads_them() {
        for line in include_str!("testdata/initial_controllers.tsv").lines() {
            let (text, expected) = line.split_once('\t').unwrap();
            let read = parse(text, "C").map(|voters| {
                let shown = voters.iter().map(|voter| {
                    let (at, directory) = (&voter.endpoints[0], voter.key.directory_id.unwrap());
                    let host = if at.host.contains(':') { format!("[{}]", at.host) } else { at.host.to_string() };
                    format!("{}@{host}:{}:{directory}", voter.key.id, at.port)
                });
                shown.collect::<Vec<_>>().join(",")
            });
            assert_eq!(read.unwrap_or_else(|error| error.to_string()), expected, "{text}");
        }
    }
}
