//! DescribeTransactions, ListTransactions, and FindCoordinator of transactional ids.

use super::{Producer, describe};
use crate::run::Run;
use protocol::Str;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::list_transactions_request::ListTransactionsRequest;

/// Patterns of transactional ids.
const PATTERNS: [&str; 76] = [
    "",
    ".*",
    "tx-open",
    "tx-open-.*",
    "^tx-open-.$",
    "tx-open-[0-9]",
    "TX-OPEN-.",
    "(?i)TX-OPEN-.",
    "tx-(open|seq)-\\d.*",
    "tx-open-.|add-one-.",
    "[",
    "(",
    "*",
    "\\",
    "a{2,1}",
    "(?P<n>a)",
    "(?<n>a)",
    "a++",
    "(?=tx).*",
    "\\p{Alpha}+-open-.",
    "\\p{L}+-open-.",
    "\\pLx-open-.",
    "\\p{Latin}+-\\p{Ll}*-\\PL",
    "[\\p{Latin}\\P{L}]+",
    "\\p{^Greek}x-open-.",
    "\\p{Greek}",
    "\\p{Grek}",
    "\\p{greek}",
    "\\p{Letter}",
    "\\p{Thai}|tx-open-.",
    "\\p{Any}+",
    "\\P{Any}",
    "\\p{Cs}",
    "\\P{Cs}+",
    "\\p{L",
    "\\w+-\\w+-[\\d]",
    "\\D+\\d",
    "\\btx\\b.*",
    "t\\Bx.*",
    "[\\b]",
    "\\<tx",
    "\\164x-open-.",
    "\\x74\\x{78}-open-.",
    "\\1",
    "\\8",
    "\\Z",
    "\\u0074.*",
    "\\h.*",
    "(?x)tx-open-.",
    "(?u)tx-open-.",
    "(?is)TX.*",
    "(?U)tx-.*",
    "(?-i)tx-.*",
    "(?i:TX)-.*",
    "[[:^digit:]]+.",
    "[[:word:]-]+",
    "[[:letter:]]",
    "[[:alpha]x-open-.",
    "[t[:]x-open-.",
    "[[:alpha:]x]+-open-.",
    "[a",
    "tx\\-open\\-.",
    "\\ä",
    "[[:alpha:]]",
    "[a-z&&[^t]]x-open-.",
    "x{1001}",
    "x{1,1001}",
    "a{2}{3}",
    "a*??",
    "a{",
    "a}",
    "a{,2}",
    "\\Qtx-open\\E-.",
    "\\Qtx.open-\\E.",
    "[]t]x-open-.",
    " ",
];

const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub fn rows(run: &mut Run, level: &str) {
    let open = Producer::new(run, &format!("tx-open-{level}"));
    run.row("opened", [3], |side, v| open.add(side, v, &[("tx-add", &[1, 0]), ("tx-add-b", &[1])]));
    described(run, &open);
    listed(run, &open);
    coordinators(run);
    open.finish(run, 4, false);
    run.row("all", 0..=2, |_, _| ListTransactionsRequest { duration_filter: -1, ..Default::default() });
}

fn described(run: &mut Run, open: &Producer) {
    run.row("open", [0], |_, _| describe(&[&open.id]));
    run.row("unknown, empty, open, twice", [0], |_, _| describe(&["nobody", "", &open.id, &open.id]));
    run.row("none", [0], |_, _| describe(&[]));
    run.row("blank", [0], |_, _| describe(&[" "]));
    run.row("long", [0], |_, _| describe(&[&"x".repeat(30_000)]));
}

fn listed(run: &mut Run, open: &Producer) {
    let all = || ListTransactionsRequest { duration_filter: -1, ..Default::default() };
    let of = |states: &[&str]| ListTransactionsRequest {
        state_filters: states.iter().map(|state| Str::from(*state)).collect(),
        ..all()
    };
    run.row("all", 0..=2, |_, _| all());
    for state in STATES {
        run.row(state, 0..=2, |_, _| of(&[state]));
    }
    run.row("two states", 0..=2, |_, _| of(&["Ongoing", "Empty"]));
    run.row("a state twice", 0..=2, |_, _| of(&["Ongoing", "Ongoing"]));
    run.row("an unknown state too", 0..=2, |_, _| of(&["Ongoing", "nonsense", "Nonsense", "nonsense"]));
    run.row("only unknown states", 0..=2, |_, _| of(&["ongoing", "", "ONGOING"]));
    let ids = |ids: Vec<i64>| ListTransactionsRequest { producer_id_filters: ids, ..all() };
    run.row("of its producer", 0..=2, |side, _| ids(vec![open.producer_id(side)]));
    run.row("of its producer and others", 0..=2, |side, _| ids(vec![9_999_999, -1, open.producer_id(side)]));
    run.row("of nobody", 0..=2, |_, _| ids(vec![9_999_999]));
    run.row("of its producer, in another state", 0..=2, |side, _| ListTransactionsRequest {
        producer_id_filters: vec![open.producer_id(side)],
        ..of(&["Empty"])
    });
    for duration_filter in [i64::MIN, -2, -1, 0, 1, 3_600_000, i64::MAX] {
        run.row(&format!("longer than {duration_filter}"), 1..=2, |_, _| ListTransactionsRequest {
            duration_filter,
            ..of(&["Ongoing", "CompleteCommit"])
        });
    }
    let matching = |pattern: &str| ListTransactionsRequest { transactional_id_pattern: Some(pattern.into()), ..all() };
    for pattern in PATTERNS {
        run.row(&format!("pattern {pattern:?}"), [2], |_, _| matching(pattern));
    }
    run.row("a pattern, a state and a producer", [2], |side, _| ListTransactionsRequest {
        state_filters: vec!["Ongoing".into()],
        producer_id_filters: vec![open.producer_id(side)],
        ..matching(".*open.*")
    });
}

fn coordinators(run: &mut Run) {
    let one = |key: &str| FindCoordinatorRequest { key: key.into(), key_type: 1, ..Default::default() };
    let several = |keys: &[&str]| FindCoordinatorRequest {
        coordinator_keys: keys.iter().map(|key| Str::from(*key)).collect(),
        key_type: 1,
        ..Default::default()
    };
    for key in ["t", "", " ", "ä"] {
        run.row(&format!("of the transactional id {key:?}"), 1..=3, |_, _| one(key));
        run.row(&format!("of the transactional id {key:?}"), 4..=6, |_, _| several(&[key]));
    }
    run.row("of two transactional ids, one twice", 4..=6, |_, _| several(&["b", "a", "b"]));
    run.row("of no transactional id", 4..=6, |_, _| several(&[]));
}
