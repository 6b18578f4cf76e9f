//! What the members of a group were told: who owned what, and which commits were acknowledged.

use crate::Check;
use std::collections::{BTreeMap, BTreeSet};

/// The number of partitions that the members share out: those of the topic.
pub const OWNED: i32 = 2;

/// A commit that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct AcknowledgedCommit {
    generation: i32,
    offset: i64,
}

/// The group of a course.
#[derive(Debug, Default)]
pub struct Membership {
    /// The owner of each partition in each generation.
    owners: BTreeMap<(i32, i32), String>,
    /// The newest generation that has an assignment.
    newest: i32,
    acknowledged: BTreeMap<i32, Vec<AcknowledgedCommit>>,
    /// Commits without an answer. They may still be carried out.
    unknown: BTreeSet<i64>,
    last_offset: i64,
    /// What each client believes now: its generation and what it owns in it.
    beliefs: BTreeMap<usize, (i32, Vec<i32>)>,
}

impl Membership {
    /// Notes an assignment that a member was given.
    pub fn assigned(&mut self, client: usize, member: &str, generation: i32, owned: &[i32]) -> Check {
        for partition in owned {
            let owner = self.owners.entry((generation, *partition)).or_insert_with(|| member.to_owned());
            if owner != member {
                return Err(format!("two owners of {partition} in generation {generation}: {owner} and {member}"));
            }
        }
        self.newest = self.newest.max(generation);
        self.beliefs.insert(client, (generation, owned.to_vec()));
        Ok(())
    }

    /// Notes that a client is in no generation any more.
    pub fn left(&mut self, client: usize) {
        self.beliefs.remove(&client);
    }

    /// Whether all of so many clients are in one generation, in which every partition has an owner.
    pub fn is_stable(&self, clients: usize) -> bool {
        let owned: BTreeSet<i32> = self.beliefs.values().flat_map(|(_, owned)| owned.iter().copied()).collect();
        self.beliefs.len() == clients
            && self.beliefs.values().all(|(generation, _)| *generation == self.newest)
            && owned.len() == OWNED as usize
    }

    /// Returns the newest generation that has an assignment.
    pub fn newest(&self) -> i32 {
        self.newest
    }

    /// Returns a new offset to commit, higher than all before. Until it is answered, nobody knows
    /// what became of it.
    pub fn next_offset(&mut self) -> i64 {
        self.last_offset += 1;
        self.unknown.insert(self.last_offset);
        self.last_offset
    }

    /// Notes the answer to a commit of a generation. `newest` was the newest generation when it was
    /// sent.
    pub fn answered(&mut self, partition: i32, (generation, newest): (i32, i32), offset: i64, taken: bool) -> Check {
        self.unknown.remove(&offset);
        if !taken {
            return Ok(());
        }
        if generation < newest {
            return Err(format!("a commit of generation {generation} was taken after generation {newest} began"));
        }
        self.acknowledged.entry(partition).or_default().push(AcknowledgedCommit { generation, offset });
        Ok(())
    }

    /// Checks what the coordinator answered to a member of a generation that asked for the
    /// committed offset. It knew everything that was acknowledged in the generations before.
    pub fn fetched(&self, partition: i32, generation: i32, found: i64) -> Check {
        let acknowledged = self.acknowledged.get(&partition).into_iter().flatten();
        let before = acknowledged.filter(|it| it.generation < generation).map(|it| it.offset).max();
        if before.is_some_and(|before| found < before) && !self.unknown.contains(&found) {
            return Err(format!("lost commit: {found} is committed for {partition}, but {before:?} was acknowledged"));
        }
        if found > self.last_offset {
            return Err(format!("{found} is committed for {partition}, which nobody has sent"));
        }
        Ok(())
    }
}
