//! What became of transactions: what their producers were told, and what readers of committed
//! records saw of them.

use crate::Check;
use crate::ledger::Index;
use std::collections::BTreeMap;

/// How a transaction ended, as far as its producer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Nobody has asked for its commit: it is open, or aborted.
    NotCommitted,
    /// The commit was asked for. It is not known what became of it.
    Unknown,
    /// The commit was acknowledged.
    Committed,
}

#[derive(Debug)]
struct Transaction {
    ending: Ending,
    records: Vec<(Index, String)>,
}

/// The transactions of a course.
#[derive(Debug, Default)]
pub struct Transactions {
    all: Vec<Transaction>,
    /// The transaction of each record.
    of: BTreeMap<String, usize>,
    /// The records that were read as committed.
    read: BTreeMap<String, (Index, i64)>,
}

impl Transactions {
    /// Begins a transaction. Returns its number.
    pub fn begin(&mut self) -> usize {
        self.all.push(Transaction { ending: Ending::NotCommitted, records: Vec::new() });
        self.all.len() - 1
    }

    /// Adds a record, before it is sent.
    pub fn add(&mut self, transaction: usize, partition: Index, value: &str) {
        self.all[transaction].records.push((partition, value.to_owned()));
        self.of.insert(value.to_owned(), transaction);
    }

    /// Notes that the producer is about to ask for the commit. It has an acknowledgement of every
    /// record.
    pub fn commits(&mut self, transaction: usize) {
        self.all[transaction].ending = Ending::Unknown;
    }

    /// Notes that the commit was acknowledged.
    pub fn committed(&mut self, transaction: usize) {
        self.all[transaction].ending = Ending::Committed;
    }

    /// Notes that a reader of committed records has read a record.
    pub fn read(&mut self, partition: Index, offset: i64, value: &str) -> Check {
        let Some(transaction) = self.of.get(value).map(|number| &self.all[*number]) else { return Ok(()) };
        if transaction.ending == Ending::NotCommitted {
            return Err(format!("aborted read: {value} at {partition}@{offset} was never to be committed"));
        }
        self.read.insert(value.to_owned(), (partition, offset));
        Ok(())
    }

    /// Checks every transaction, once all is read.
    pub fn check(&self) -> Check {
        for (number, transaction) in self.all.iter().enumerate() {
            let is_read = |(_, value): &&(Index, String)| self.read.contains_key(value);
            let (read, all) = (transaction.records.iter().filter(is_read).count(), transaction.records.len());
            let shown =
                || format!("{read} of {all} records of transaction {number} were read: {:?}", transaction.records);
            if transaction.ending == Ending::Committed && read < all {
                return Err(format!("lost transaction: {}", shown()));
            }
            if read > 0 && read < all {
                return Err(format!("torn transaction: {}", shown()));
            }
        }
        Ok(())
    }

    /// Returns how many transactions were begun, and how many commits were acknowledged.
    pub fn counts(&self) -> (usize, usize) {
        (self.all.len(), self.all.iter().filter(|it| it.ending == Ending::Committed).count())
    }
}
