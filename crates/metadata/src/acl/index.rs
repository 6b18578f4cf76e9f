//! The ACLs of the image, in the order in which decisions look for them.
//!
//! By type and principal, because one client asks for one principal and for everybody. Patterns of
//! a principal are ordered by name. The prefixes of a resource's name are found in a few steps,
//! from the longest to the shortest. The rules of one pattern and host are two sets of bits.

use super::{
    AccessControlEntry, AclOperation, AclResourceType, PatternType, PermissionType, WILDCARD, WILDCARD_PRINCIPAL,
};
use imbl::OrdMap;
use model::Uuid;
use protocol::Str;

/// All ACLs.
#[derive(Clone, Debug, Default)]
pub struct Acls {
    by_id: OrdMap<Uuid, AccessControlEntry>,
    /// How many records hold the same ACL. Kafka writes no second one.
    copies: OrdMap<AccessControlEntry, usize>,
    by_type: OrdMap<i8, AclsOfType>,
}

impl PartialEq for Acls {
    fn eq(&self, other: &Self) -> bool {
        // Everything else follows from it.
        self.by_id == other.by_id
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Kind and name, as `User:alice`.
    pub principal: Str,
    /// The client's address, as Java writes it.
    pub host: Str,
}

/// The ACL that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclRule<'a> {
    /// Its type of pattern.
    pub pattern_type: PatternType,
    /// Its name of resources.
    pub resource_name: &'a str,
    /// Its principal.
    pub principal: &'a str,
    /// Its host.
    pub host: &'a str,
    /// Its operation.
    pub operation: AclOperation,
}

/// What the ACLs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclVerdict<'a> {
    /// An ACL denies it, whatever others allow.
    Denied(AclRule<'a>),
    /// An ACL allows it.
    Allowed(AclRule<'a>),
    /// No ACL is about this client and operation.
    Silent {
        /// Whether any ACL fits the resource.
        has_resource_acls: bool,
    },
}

#[derive(Clone, Debug, Default)]
struct AclsOfType {
    by_principal: OrdMap<Str, Patterns<OrdMap<Str, RuleBits>>>,
    /// How many principals have ACLs of a pattern.
    principals: Patterns<usize>,
}

/// Something by the pattern of its ACLs.
#[derive(Clone, Debug, Default)]
struct Patterns<T> {
    literal: OrdMap<Str, T>,
    prefixed: OrdMap<Str, T>,
}

/// The operations that are allowed and denied, as bits by their codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RuleBits {
    allowed: u32,
    denied: u32,
}

/// The pattern of a literal ACL or one with a prefix. Others fit nothing.
fn pattern_of<'a, T>(patterns: &'a mut Patterns<T>, acl: &AccessControlEntry) -> Option<&'a mut OrdMap<Str, T>> {
    match PatternType::from_code(acl.pattern_type)? {
        PatternType::Literal => Some(&mut patterns.literal),
        PatternType::Prefixed => Some(&mut patterns.prefixed),
        PatternType::Any | PatternType::Match => None,
    }
}

impl Acls {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All of them with the ids of their records, in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (&Uuid, &AccessControlEntry)> {
        self.by_id.iter()
    }

    /// Whether a record has this id.
    pub fn contains_id(&self, id: Uuid) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Whether there is such an ACL.
    pub fn contains(&self, acl: &AccessControlEntry) -> bool {
        self.copies.contains_key(acl)
    }

    /// Adds the ACL of a record, in place of another with the same id.
    pub fn insert(&mut self, id: Uuid, acl: AccessControlEntry) {
        self.remove(id);
        *self.copies.entry(acl.clone()).or_insert(0) += 1;
        self.index(&acl, true);
        self.by_id.insert(id, acl);
    }

    /// Removes the ACL of a record.
    pub fn remove(&mut self, id: Uuid) -> Option<AccessControlEntry> {
        let acl = self.by_id.remove(&id)?;
        let left = self.copies.get(&acl).map_or(0, |count| count - 1);
        if left > 0 {
            self.copies.insert(acl.clone(), left);
        } else {
            self.copies.remove(&acl);
            self.index(&acl, false);
        }
        Some(acl)
    }

    /// Sets or clears the bit of an ACL.
    fn index(&mut self, acl: &AccessControlEntry, is_set: bool) {
        let Some(bit) = AclOperation::from_code(acl.operation).map(bit) else { return };
        let of_type = self.by_type.entry(acl.resource_type).or_default();
        let of_principal = of_type.by_principal.entry(acl.principal.clone()).or_default();
        let Some(pattern) = pattern_of(of_principal, acl) else { return };
        let hosts = pattern.entry(acl.resource_name.clone()).or_default();
        let was_empty = hosts.is_empty();
        let mut bits = hosts.get(&acl.host).copied().unwrap_or_default();
        let side = match PermissionType::from_code(acl.permission_type) {
            Some(PermissionType::Allow) => &mut bits.allowed,
            // Kafka takes whatever does not allow for a denial.
            _ => &mut bits.denied,
        };
        *side = if is_set { *side | bit } else { *side & !bit };
        if bits == RuleBits::default() {
            hosts.remove(&acl.host);
        } else {
            hosts.insert(acl.host.clone(), bits);
        }
        let is_empty = hosts.is_empty();
        if is_empty {
            pattern.remove(&acl.resource_name);
        }
        if of_principal.literal.is_empty() && of_principal.prefixed.is_empty() {
            of_type.by_principal.remove(&acl.principal);
        }
        if was_empty != is_empty
            && let Some(names) = pattern_of(&mut of_type.principals, acl)
        {
            let count = names.get(&acl.resource_name).copied().unwrap_or(0);
            match if is_empty { count.saturating_sub(1) } else { count + 1 } {
                0 => names.remove(&acl.resource_name),
                count => names.insert(acl.resource_name.clone(), count),
            };
        }
    }

    /// Says what the ACLs say about an operation on a resource.
    pub fn decide(
        &self,
        subject: &Subject,
        operation: AclOperation,
        resource_type: AclResourceType,
        name: &str,
    ) -> AclVerdict<'_> {
        let Some(of_type) = self.by_type.get(&resource_type.code()) else {
            return AclVerdict::Silent { has_resource_acls: false };
        };
        let (allowing, denying) = (allowing(operation), bit(operation) | bit(AclOperation::All));
        let mut allowed = None;
        for principal in [subject.principal.as_str(), WILDCARD_PRINCIPAL] {
            let Some((principal, patterns)) = of_type.by_principal.get_key_value(principal) else { continue };
            let mut denied = None;
            patterns.find(name, &mut |pattern_type, resource_name, hosts| {
                for host in [subject.host.as_str(), WILDCARD] {
                    let Some((host, bits)) = hosts.get_key_value(host) else { continue };
                    let rule = |operation| AclRule { pattern_type, resource_name, principal, host, operation };
                    denied = first(bits.denied & denying).map(rule);
                    allowed = allowed.or_else(|| first(bits.allowed & allowing).map(rule));
                    if denied.is_some() {
                        return true;
                    }
                }
                false
            });
            if let Some(rule) = denied {
                return AclVerdict::Denied(rule);
            }
        }
        match allowed {
            Some(rule) => AclVerdict::Allowed(rule),
            None => AclVerdict::Silent { has_resource_acls: of_type.principals.find(name, &mut |_, _, _| true) },
        }
    }

    /// Whether the client may do an operation on at least one resource of a type. Not more exact
    /// than Kafka's `authorizeByResourceType`: an ACL that allows counts unless one that denies
    /// covers its whole pattern. Nothing is implied: WRITE alone allows WRITE.
    pub fn allows_any(&self, subject: &Subject, operation: AclOperation, resource_type: AclResourceType) -> bool {
        let Some(of_type) = self.by_type.get(&resource_type.code()) else { return false };
        let bits = bit(operation) | bit(AclOperation::All);
        let principals = [subject.principal.as_str(), WILDCARD_PRINCIPAL];
        let of_client: Vec<&Patterns<OrdMap<Str, RuleBits>>> =
            principals.iter().filter_map(|principal| of_type.by_principal.get(*principal)).collect();
        let hosts = [subject.host.as_str(), WILDCARD];
        let has = |rules: &OrdMap<Str, RuleBits>, side: fn(&RuleBits) -> u32| {
            hosts.iter().any(|host| rules.get(*host).is_some_and(|rule| side(rule) & bits != 0))
        };
        let denies = |rules: Option<&OrdMap<Str, RuleBits>>| rules.is_some_and(|rules| has(rules, |it| it.denied));
        let allows = |rules: &OrdMap<Str, RuleBits>| has(rules, |it| it.allowed);
        if of_client.iter().any(|it| denies(it.literal.get(WILDCARD))) {
            return false;
        }
        if of_client.iter().any(|it| it.literal.get(WILDCARD).is_some_and(allows)) {
            return true;
        }
        let covered = |name: &str| {
            of_client.iter().any(|it| find_prefixes(&it.prefixed, name, &mut |_, rules| denies(Some(rules))))
        };
        let literally_denied = |name: &Str| of_client.iter().any(|it| denies(it.literal.get(name)));
        of_client.iter().any(|it| {
            let mut literal = it.literal.iter().filter(|(_, rules)| allows(rules));
            let mut prefixed = it.prefixed.iter().filter(|(_, rules)| allows(rules));
            literal.any(|(name, _)| !literally_denied(name) && !covered(name))
                || prefixed.any(|(name, _)| !covered(name))
        })
    }
}

impl<T> Patterns<T> {
    /// Calls `is_enough` for each pattern that fits a name, until it says so. Returns whether it
    /// did.
    fn find<'a>(&'a self, name: &str, is_enough: &mut dyn FnMut(PatternType, &'a str, &'a T) -> bool) -> bool {
        let literal = |name: &str, is_enough: &mut dyn FnMut(PatternType, &'a str, &'a T) -> bool| {
            let pattern = self.literal.get_key_value(name);
            pattern.is_some_and(|(name, it)| is_enough(PatternType::Literal, name, it))
        };
        literal(name, is_enough)
            || find_prefixes(&self.prefixed, name, &mut |name, it| is_enough(PatternType::Prefixed, name, it))
            || (name != WILDCARD && literal(WILDCARD, is_enough))
    }
}

/// Calls `is_enough` for each key that is a prefix of a name, from the longest, until it says so.
/// Returns whether it did. Each step either reports a prefix or shortens the name to what the next
/// key has in common with it.
fn find_prefixes<'a, T>(
    map: &'a OrdMap<Str, T>,
    name: &str,
    is_enough: &mut dyn FnMut(&'a str, &'a T) -> bool,
) -> bool {
    let mut bound = name;
    while let Some((key, it)) = map.get_prev(bound) {
        let common = key.bytes().zip(bound.bytes()).take_while(|(one, other)| one == other).count();
        let mut end = common;
        if common == key.len() {
            if is_enough(key, it) {
                return true;
            }
            let Some(shorter) = common.checked_sub(1) else { return false };
            end = shorter;
        }
        while !bound.is_char_boundary(end) {
            end -= 1;
        }
        bound = &bound[..end];
    }
    false
}

fn bit(operation: AclOperation) -> u32 {
    1 << operation.code()
}

/// The operations of ACLs that allow an operation.
fn allowing(operation: AclOperation) -> u32 {
    use AclOperation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
    let implying: &[AclOperation] = match operation {
        Describe => &[Read, Write, Delete, Alter],
        DescribeConfigs => &[AlterConfigs],
        _ => &[],
    };
    implying.iter().fold(bit(All) | bit(operation), |bits, operation| bits | bit(*operation))
}

fn first(bits: u32) -> Option<AclOperation> {
    i8::try_from(bits.trailing_zeros()).ok().and_then(AclOperation::from_code)
}
