//! Faults between the files of a log. They are collected while the files are read, and printed on
//! standard error at the end in the words of Kafka's tool.

use super::absolute;
use model::java;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Faults by file, in the order in which the files were first named.
#[derive(Debug)]
struct ByFile<T>(Vec<(String, T)>);

impl<T> Default for ByFile<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> ByFile<T> {
    fn of(&mut self, file: &Path) -> &mut T {
        let name = absolute(file);
        let index = self.0.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.0.push((name, T::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    /// Prints the files in the order in which Java's map with that number of names iterates.
    fn print(
        &self,
        out: &mut impl Write,
        title: &str,
        mut lines: impl FnMut(&mut dyn Write, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut files: Vec<&(String, T)> = self.0.iter().collect();
        let buckets = java::bucket_count(16, files.len());
        java::hash_order(&mut files, buckets, |(name, _)| java::string_hash(name));
        for (name, found) in files {
            writeln!(out, "{title}{name}")?;
            lines(out, found)?;
        }
        Ok(())
    }
}

/// All faults.
#[derive(Debug, Default)]
pub(super) struct Faults {
    index: ByFile<BTreeMap<i64, i64>>,
    times: ByFile<Vec<(i64, i64)>>,
    disordered: ByFile<Vec<(i64, i64)>>,
    not_found: ByFile<Vec<(i64, i64)>>,
    gaps: ByFile<BTreeMap<i64, i64>>,
}

impl Faults {
    /// An entry of the offset index points to a batch with another last offset.
    pub(super) fn index_mismatch(&mut self, file: &Path, indexed: i64, found: i64) {
        self.index.of(file).insert(indexed, found);
    }

    /// A timestamp of the time index is not the largest of its batch.
    pub(super) fn time_mismatch(&mut self, file: &Path, indexed: i64, found: i64) {
        self.times.of(file).push((indexed, found));
    }

    /// A timestamp of the time index is not larger than the one before.
    pub(super) fn time_disorder(&mut self, file: &Path, indexed: i64, before: i64) {
        self.disordered.of(file).push((indexed, before));
    }

    /// An offset of the time index is not the last offset of any batch.
    pub(super) fn offset_not_found(&mut self, file: &Path, indexed: i64, found: i64) {
        self.not_found.of(file).push((indexed, found));
    }

    /// An offset does not follow the one before.
    pub(super) fn gap(&mut self, file: &Path, before: i64, offset: i64) {
        self.gaps.of(file).insert(before, offset);
    }

    /// Prints all faults.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.index.print(out, "Mismatches in :", |out, found| {
            // In descending order of offset.
            found.iter().rev().try_for_each(|(a, b)| writeln!(out, "  Index offset: {a}, log offset: {b}"))
        })?;
        self.times.print(out, "Found timestamp mismatch in :", |out, found| {
            found.iter().try_for_each(|(a, b)| writeln!(out, "  Index timestamp: {a}, log timestamp: {b}"))
        })?;
        self.disordered.print(out, "Found out of order timestamp in :", |out, found| {
            let line = "Previously indexed timestamp";
            found.iter().try_for_each(|(a, b)| writeln!(out, "  Index timestamp: {a}, {line}: {b}"))
        })?;
        self.not_found.print(out, "The following indexed offsets are not found in :", |out, found| {
            found.iter().try_for_each(|(a, b)| writeln!(out, "Indexed offset: {a}, found log offset: {b}"))
        })?;
        self.gaps.print(out, "Non-consecutive offsets in ", |out, found| {
            found.iter().try_for_each(|(a, b)| writeln!(out, "  {a} is followed by {b}"))
        })
    }
}
