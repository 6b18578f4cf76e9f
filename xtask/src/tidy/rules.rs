//! The rules for one file: length, layers, and calls that have one place.

/// Lines of a handwritten file, at most.
const LINES_MAX: usize = 700;
/// Columns of a comment or of a line of Markdown, at most.
const COLUMNS_MAX: usize = 100;

/// A call or name that belongs in one place, and what to use elsewhere.
struct Ban {
    words: &'static [&'static str],
    /// Path prefixes where it is at home.
    home: &'static [&'static str],
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &["std::fs", "tokio::fs"],
        home: &["crates/storage/src/disk/", "src/config/file.rs", "src/cli/", "src/env/usage.rs"],
        instead: "storage::Disk for data, config::file for configuration",
    },
    Ban {
        words: &["Instant::now", "SystemTime"],
        home: &["src/env/clock.rs"],
        instead: "an argument, or the Env of the node in a driver",
    },
    Ban {
        words: &["rand::", "getrandom", "RandomState"],
        home: &["src/env/random.rs"],
        instead: "an argument, or the Env of the node in a driver",
    },
    Ban {
        words: &["spawn_blocking", "block_in_place", "thread::spawn", "thread::Builder"],
        home: &["src/env/blocking.rs"],
        instead: "the Env of the node",
    },
    Ban {
        words: &["TcpListener", "TcpStream", "UdpSocket"],
        home: &["src/net/", "src/peer/", "src/admin/"],
        instead: "net for the server's side, peer for other nodes",
    },
    Ban {
        words: &["lookup_host", "uname()"],
        home: &["src/net/", "src/admin/", "src/env/names.rs"],
        instead: "the Env of the node",
    },
    Ban {
        words: &["api_version"],
        home: &["src/api/", "src/peer/", "crates/protocol/", "xtask/"],
        instead: "a named fact, made where the request is read",
    },
    Ban { words: &["todo!(", "unimplemented!(", "#[ignore"], home: &["xtask/"], instead: "the real thing" },
    Ban {
        words: &["println!(", "print!("],
        home: &[],
        instead: "cli::output or the log, which survive a standard error that cannot be written",
    },
    Ban { words: &["thread::sleep"], home: &[], instead: "time as an argument" },
    Ban {
        words: &["HashMap", "HashSet"],
        home: &[
            "src/admin/",
            "src/api/",
            "src/broker/mod.rs",
            "src/cli/",
            "src/config/",
            "src/runtime/limits",
            "src/replica/session.rs",
            "src/telemetry/",
            "crates/coordinator/",
            "crates/model/",
            "crates/protocol/",
            "crates/records/",
            "crates/storage/",
        ],
        instead: "BTreeMap or IndexMap: the order of iteration must be the same in every run",
    },
    Ban {
        words: &["sync::watch"],
        home: &["src/env/watch.rs"],
        instead: "env::watch, whose receivers wake in a fixed order",
    },
    Ban {
        words: &["Env::default()"],
        home: &["src/cli/", "src/net/", "src/telemetry/", "src/env/"],
        instead: "the Env that the node was started with",
    },
];

/// Modules of the root package by layer, the highest first; a file may name its own layer and those
/// below.
const LAYERS: &[&[&str]] = &[
    &["node", "cli"],
    &["net", "admin"],
    &["api"],
    &["broker"],
    &["runtime", "tier"],
    &["replica", "security"],
    &["telemetry"],
    &["config", "peer"],
    &["env"],
];

/// What is wrong with one file.
pub(super) fn file(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(format!("{path}: {lines} lines, where {LINES_MAX} are allowed; split it by noun"));
    }
    if !text.starts_with("//!") && !path.contains("/bin/") {
        findings.push(format!("{path}: opens without saying what it is (//!)"));
    }
    let is_test =
        path.contains("tests") || path.starts_with("benches") || path.contains("/benches/") || path.starts_with("fuzz");
    let is_tool = ["xtask/", "compat-tests/", "fuzz/"].iter().any(|tool| path.starts_with(tool));
    let mut is_drawing = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let at = format!("{path}:{}", number + 1);
        let is_comment = line.trim_start().starts_with("//") && !line.contains("| ");
        is_drawing ^= is_comment && line.contains("```");
        if is_comment && !is_drawing && is_too_long(line) {
            findings.push(too_long(path, number));
        }
        if !is_test && !is_tool {
            for ban in BANS.iter().filter(|ban| !ban.home.iter().any(|home| path.starts_with(home))) {
                if let Some(word) = ban.words.iter().find(|word| code.contains(**word)) {
                    findings.push(format!("{at}: {word} has no place here; use {}", ban.instead));
                }
            }
            findings.extend(upward(path, code).map(|module| {
                format!("{at}: names crate::{module}, a layer above; pass what is needed as an argument")
            }));
        }
        if path == "src/api/error.rs" && code.trim_start().starts_with("_ =>") {
            findings.push(format!("{at}: a wildcard arm; every fault is mapped by name"));
        }
    }
    findings
}

/// Which lines of a Markdown document are too long. Tables, code and single long words may be.
pub(super) fn document(path: &str, text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        is_code ^= line.trim_start().starts_with("```");
        if !is_code && !line.starts_with('|') && is_too_long(line) {
            findings.push(too_long(path, number));
        }
    }
    findings
}

/// Whether a line has more columns than it may, and could have been wrapped.
fn is_too_long(line: &str) -> bool {
    line.chars().count() > COLUMNS_MAX && line.trim().trim_start_matches(['/', '!']).trim().contains(' ')
}

fn too_long(path: &str, number: usize) -> String {
    format!("{path}:{}: more than {COLUMNS_MAX} columns; wrap it", number + 1)
}

/// A module of a higher layer that a line of the root package names.
fn upward<'a>(path: &str, code: &'a str) -> Option<&'a str> {
    let own = path.strip_prefix("src/")?;
    let own = own.split(['/', '.']).next()?;
    let layer = LAYERS.iter().position(|modules| modules.contains(&own))?;
    let named = code.split("crate::").nth(1)?;
    let named = &named[..named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len())];
    let above = LAYERS.iter().position(|modules| modules.contains(&named))?;
    (above < layer).then_some(named)
}
