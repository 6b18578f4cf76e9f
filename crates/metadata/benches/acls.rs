//! What a decision costs with 100,000 ACLs, and what adding one costs.

use criterion::{Criterion, criterion_group, criterion_main};
use metadata::acl::{AccessControlEntry, AclOperation, AclResourceType, Acls, Subject};
use model::Uuid;
use std::hint::black_box;

const ACLS: u32 = 100_000;

fn acl(principal: String, name: String, pattern_type: i8, operation: AclOperation) -> AccessControlEntry {
    AccessControlEntry {
        resource_type: AclResourceType::Topic.code(),
        resource_name: name.into(),
        pattern_type,
        principal: principal.into(),
        host: "*".into(),
        operation: operation.code(),
        permission_type: 3,
    }
}

fn id(number: u32) -> Uuid {
    Uuid((u128::from(number) << 64 | u128::from(number)).to_be_bytes())
}

/// 1,000 users with 100 topics each, every tenth by prefix.
fn many_users() -> Acls {
    let mut acls = Acls::default();
    for number in 0..ACLS {
        let (user, topic) = (number / 100, number % 100);
        let pattern = if topic % 10 == 0 { 4 } else { 3 };
        let name = format!("team-{user}.topic-{topic}");
        acls.insert(id(number), acl(format!("User:user-{user}"), name, pattern, AclOperation::Read));
    }
    acls
}

/// One user with all of them, half by prefix.
fn one_user() -> Acls {
    let mut acls = Acls::default();
    for number in 0..ACLS {
        let pattern = if number % 2 == 0 { 4 } else { 3 };
        acls.insert(id(number), acl("User:user-1".into(), format!("topic-{number}"), pattern, AclOperation::Read));
    }
    acls
}

fn decisions(criterion: &mut Criterion) {
    let subject = Subject { principal: "User:user-1".into(), host: "10.0.0.1".into() };
    for (what, acls, allowed, denied) in [
        ("of 1,000 users", many_users(), "team-1.topic-55", "team-2.topic-55"),
        ("of one user", one_user(), "topic-77777", "other-77777"),
    ] {
        assert_eq!(acls.len(), usize::try_from(ACLS).unwrap_or(0));
        let mut group = criterion.benchmark_group(format!("100,000 ACLs {what}"));
        for (case, name) in [("allow", allowed), ("deny", denied), ("allow by prefix", "topic-777777-x")] {
            group.bench_function(case, |bencher| {
                bencher.iter(|| {
                    black_box(acls.decide(
                        black_box(&subject),
                        AclOperation::Read,
                        AclResourceType::Topic,
                        black_box(name),
                    ))
                });
            });
        }
        group.bench_function("add one to a copy", |bencher| {
            bencher.iter(|| {
                let mut copy = acls.clone();
                copy.insert(id(ACLS), acl("User:new".into(), "new".into(), 3, AclOperation::Write));
                black_box(copy)
            });
        });
        group.finish();
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
