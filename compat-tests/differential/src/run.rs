//! Runs the table of rows: sends each row to both brokers and compares the answers.

use crate::side::{Answer, Side};
use crate::{answers, compare};
use model::ErrorCode;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, Message, write_request};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The limit of time until a setup step shows its effect.
const SETTLE: Duration = Duration::from_secs(20);
/// The same in rows of a client that may not do everything.
const SETTLE_RESTRICTED: Duration = Duration::from_millis(300);

/// A row that takes longer is named, because a run has hundreds of rows.
const SLOW: Duration = Duration::from_secs(2);

/// A request in flight: how its answer is decoded.
#[derive(Clone)]
struct Pending {
    case: String,
    key: i16,
    version: i16,
    correlation_id: i32,
}

/// Both brokers, and the results so far.
pub struct Run {
    /// Apache Kafka first.
    pub sides: [Side; 2],
    rows: usize,
    failed: Vec<String>,
    codes: BTreeMap<i16, BTreeSet<&'static str>>,
    last: [Value; 2],
    pending: BTreeMap<u32, Pending>,
    correlation_id: i32,
    show: bool,
    latest: BTreeMap<i16, i16>,
}

impl Run {
    /// Creates a run between two brokers. With `show`, it prints the answers of each row.
    pub fn new(sides: [Side; 2], show: bool) -> Self {
        Self {
            sides,
            rows: 0,
            failed: Vec::new(),
            codes: BTreeMap::new(),
            last: [Value::Null, Value::Null],
            pending: BTreeMap::new(),
            correlation_id: 0,
            show,
            latest: BTreeMap::new(),
        }
    }

    /// Leaves out the rows of an API above a version, in `row`. Without a version, runs them again.
    pub fn limit(&mut self, api: ApiKey, version: Option<i16>) {
        match version {
            Some(version) => self.latest.insert(api as i16, version),
            None => self.latest.remove(&(api as i16)),
        };
    }

    /// Returns the version, or the latest one of the API whose rows run.
    pub fn at_most(&self, api: ApiKey, version: i16) -> i16 {
        self.latest.get(&(api as i16)).map_or(version, |latest| version.min(*latest))
    }

    /// Returns the number of rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the start of the run, in milliseconds.
    pub fn now(&self) -> i64 {
        self.sides[0].now
    }

    /// Runs a row for each version: sends a request on the first connection and compares the
    /// answers.
    pub fn row<M: Message>(
        &mut self,
        case: &str,
        versions: impl IntoIterator<Item = i16>,
        build: impl Fn(&Side, i16) -> M,
    ) {
        for version in versions {
            if self.latest.get(&M::KEY).is_some_and(|latest| version > *latest) {
                continue;
            }
            self.post(0, case, version, |side| build(side, version));
            self.answer(0);
        }
    }

    /// Sends a request on a connection and leaves its answer for `answer`.
    pub fn post<M: Message>(&mut self, connection: u32, case: &str, version: i16, build: impl Fn(&Side) -> M) {
        let correlation_id = self.next_correlation_id();
        let mut fault = None;
        for side in &mut self.sides {
            match frame(correlation_id, version, &build(side)) {
                Ok(bytes) => {
                    if let Err(error) = side.send(connection, &bytes) {
                        fault = Some(format!("{}: {error}", side.name));
                    }
                }
                Err(error) => fault = Some(format!("the row itself: {error}")),
            }
        }
        let name = ApiKey::from_code(M::KEY).map_or("?", ApiKey::name);
        let case = format!("{name} v{version}: {case}");
        if let Some(fault) = fault {
            self.failed.push(format!("{case}: {fault}"));
        }
        self.pending.insert(connection, Pending { case, key: M::KEY, version, correlation_id });
    }

    /// Reads and compares the answer to the request posted on a connection.
    pub fn answer(&mut self, connection: u32) {
        let Some(pending) = self.pending.remove(&connection) else { return };
        self.rows += 1;
        self.receive_both(connection, &pending);
        self.judge(&pending);
    }

    fn receive_both(&mut self, connection: u32, pending: &Pending) {
        let started = Instant::now();
        self.last = self.sides.each_mut().map(|side| receive(side, connection, pending));
        if started.elapsed() > SLOW {
            println!("slow, {} ms: {}", started.elapsed().as_millis(), pending.case);
        }
    }

    fn judge(&mut self, pending: &Pending) {
        let api = ApiKey::from_code(pending.key).map_or("?", ApiKey::name);
        note_codes(&self.last[0], api, &mut self.codes);
        let mut shown = self.last.clone();
        for (side, value) in self.sides.iter().zip(&mut shown) {
            side.named(value);
        }
        if self.show {
            println!("{}\n    {}\n    {}", pending.case, shown[0], shown[1]);
        }
        let found = compare::differences(api, &shown[0], &shown[1]);
        if !found.is_empty() {
            self.failed.push(format!("{}: {}", pending.case, found.join("; ")));
        }
    }

    /// Runs a row of given bytes, without the frame length. Its answer is decoded as that of a key
    /// and version.
    pub fn raw(&mut self, case: &str, key: i16, version: i16, correlation_id: i32, frame: &[u8]) {
        let mut whole = i32::try_from(frame.len()).unwrap_or(i32::MAX).to_be_bytes().to_vec();
        whole.extend(frame);
        self.unframed(case, key, version, correlation_id, &whole);
    }

    /// Runs a row of given bytes, with the frame length, on its own connection.
    pub fn unframed(&mut self, case: &str, key: i16, version: i16, correlation_id: i32, bytes: &[u8]) {
        const OWN: u32 = 99;
        self.rows += 1;
        let name = ApiKey::from_code(key).map_or("key", ApiKey::name);
        let pending = Pending { case: format!("{name} ({key}) v{version}: {case}"), key, version, correlation_id };
        for side in &mut self.sides {
            if let Err(error) = side.send(OWN, bytes) {
                self.failed.push(format!("{}: {}: {error}", pending.case, side.name));
            }
        }
        self.receive_both(OWN, &pending);
        self.sides.iter_mut().for_each(|side| side.close(OWN));
        self.judge(&pending);
    }

    /// Runs a row whose request has no answer (acks 0). Next, the connection brings the answer to a
    /// second request, or its end.
    pub fn unanswered<M: Message>(&mut self, case: &str, version: i16, build: impl Fn(&Side) -> M) {
        self.post(0, case, version, build);
        let first = self.pending.remove(&0);
        self.post(0, "after it", 0, |_| protocol::messages::api_versions_request::ApiVersionsRequest::default());
        if let (Some(pending), Some(first)) = (self.pending.get_mut(&0), first) {
            pending.case = format!("{}, no answer", first.case);
        }
        self.answer(0);
    }

    /// Sends the next requests to the controllers' listeners, or to the brokers' again.
    pub fn turn(&mut self, to_controller: bool) {
        self.sides.iter_mut().for_each(|side| side.turn(to_controller));
    }

    /// Keeps a value of the last answer, by JSON pointer, for each side.
    pub fn keep(&mut self, name: &str, pointer: &str) {
        for (side, answer) in self.sides.iter_mut().zip(&self.last) {
            side.keep(name, answer.pointer(pointer).cloned().unwrap_or(Value::Null));
        }
    }

    /// Repeats a request until each side gives the expected answer. This is not a row. Fails if one
    /// side never gives it.
    pub fn until<M: Message>(
        &mut self,
        what: &str,
        version: i16,
        build: impl Fn(&Side) -> M,
        ready: impl Fn(&Value) -> bool,
    ) {
        const OWN: u32 = 98;
        let key = M::KEY;
        for index in 0..self.sides.len() {
            let started = Instant::now();
            loop {
                let correlation_id = self.next_correlation_id();
                let side = &mut self.sides[index];
                let request = build(side);
                let sent = frame(correlation_id, version, &request).is_ok_and(|bytes| side.send(OWN, &bytes).is_ok());
                let pending = Pending { case: String::new(), key, version, correlation_id };
                self.last[index] = if sent { receive(side, OWN, &pending) } else { json!({"outcome": "not sent"}) };
                if ready(&self.last[index]) {
                    break;
                }
                // What a row was not allowed to change never comes.
                let is_restricted = self.sides[index].is_restricted();
                if is_restricted && started.elapsed() > SETTLE_RESTRICTED {
                    break;
                }
                if started.elapsed() > SETTLE {
                    let name = self.sides[index].name;
                    self.failed.push(format!("setting up {what}: {name}: {}", self.last[index]));
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Sends a request many times, and reads the answers without looking at them. This is not a
    /// row.
    pub fn burst<M: Message>(&mut self, count: usize, version: i16, build: impl Fn() -> M) {
        const OWN: u32 = 97;
        const AT_ONCE: usize = 200;
        let Ok(bytes) = frame(0, version, &build()) else { return };
        for side in &mut self.sides {
            let mut left = count;
            while left > 0 {
                let now = left.min(AT_ONCE);
                let _ = side.send(OWN, &bytes.repeat(now));
                (0..now).for_each(|_| drop(side.receive(OWN)));
                left -= now;
            }
        }
    }

    /// Closes a connection without waiting for its answers.
    pub fn hang_up(&mut self, connection: u32) {
        self.pending.remove(&connection);
        self.sides.iter_mut().for_each(|side| side.close(connection));
    }

    fn next_correlation_id(&mut self) -> i32 {
        self.correlation_id += 1;
        self.correlation_id
    }

    /// Prints the results. Returns whether all rows passed.
    pub fn finish(self) -> bool {
        println!("\n{} rows; error codes seen in Kafka's answers:", self.rows);
        for (code, apis) in &self.codes {
            let name = ErrorCode::from_code(*code).map_or("?", ErrorCode::name);
            println!("  {code} {name}: {}", apis.iter().copied().collect::<Vec<_>>().join(" "));
        }
        let unseen: Vec<_> = ErrorCode::ALL.iter().filter(|code| !self.codes.contains_key(&code.code())).collect();
        println!("never seen ({}): {}", unseen.len(), unseen.iter().map(|c| c.name()).collect::<Vec<_>>().join(" "));
        for fault in &self.failed {
            println!("DIFFERS {fault}");
        }
        println!("{} passed, {} failed", self.rows.saturating_sub(self.failed.len()), self.failed.len());
        self.failed.is_empty()
    }
}

fn frame<M: Message>(correlation_id: i32, version: i16, request: &M) -> Result<Vec<u8>, String> {
    let header = RequestHeader {
        request_api_key: M::KEY,
        request_api_version: version,
        correlation_id,
        client_id: Some("differential".into()),
        ..Default::default()
    };
    let writer = write_request(&header, request).map_err(|error| error.to_string())?;
    Ok(writer.into_bytes().map_err(|error| error.to_string())?.to_vec())
}

fn receive(side: &mut Side, connection: u32, pending: &Pending) -> Value {
    match side.receive(connection) {
        Answer::Frame(frame) => answers::decode(pending.key, pending.version, pending.correlation_id, frame),
        Answer::Closed => json!({"outcome": "closed"}),
        Answer::Silence => json!({"outcome": "no answer"}),
    }
}

fn note_codes(value: &Value, api: &'static str, codes: &mut BTreeMap<i16, BTreeSet<&'static str>>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_i64().and_then(|code| i16::try_from(code).ok()) {
                    Some(code) if name.ends_with("rrorCode") => {
                        codes.entry(code).or_default().insert(api);
                    }
                    _ => note_codes(field, api, codes),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|element| note_codes(element, api, codes)),
        _ => {}
    }
}
