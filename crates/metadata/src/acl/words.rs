//! The words of ACLs, with their codes in records and requests and their names in messages.

/// The name of a pattern that fits every resource, and of a host that stands for all.
pub const WILDCARD: &str = "*";
/// The principal of an ACL for everybody.
pub const WILDCARD_PRINCIPAL: &str = "User:*";
/// The only name of a resource of the type CLUSTER.
pub const CLUSTER_NAME: &str = "kafka-cluster";

macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $item:ident = $code:literal $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$of])* $item = $code,)* }

        impl $name {
            /// Every item but the unknown one.
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// Reads a code; `None` for one that Kafka calls UNKNOWN.
            pub fn from_code(code: i8) -> Option<Self> {
                match code { $($code => Some(Self::$item),)* _ => None }
            }

            /// The code in records and requests.
            pub fn code(self) -> i8 {
                self as i8
            }

            /// Kafka's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$item => $text,)* }
            }

            /// Kafka's name of a code.
            pub fn name_of(code: i8) -> &'static str {
                Self::from_code(code).map_or("UNKNOWN", Self::name)
            }
        }
    };
}

codes! {
    /// The type of a resource.
    AclResourceType {
        /// In a filter: every type.
        Any = 1 "ANY",
        /// A topic.
        Topic = 2 "TOPIC",
        /// A group of any kind.
        Group = 3 "GROUP",
        /// The cluster.
        Cluster = 4 "CLUSTER",
        /// A transactional id.
        TransactionalId = 5 "TRANSACTIONAL_ID",
        /// A delegation token.
        DelegationToken = 6 "DELEGATION_TOKEN",
        /// A user, as `User:alice`.
        User = 7 "USER",
    }
}

codes! {
    /// What a client does with a resource.
    AclOperation {
        /// In a filter: every operation.
        Any = 1 "ANY",
        /// In an ACL: every operation.
        All = 2 "ALL",
        /// Read.
        Read = 3 "READ",
        /// Write.
        Write = 4 "WRITE",
        /// Create.
        Create = 5 "CREATE",
        /// Delete.
        Delete = 6 "DELETE",
        /// Alter.
        Alter = 7 "ALTER",
        /// Describe.
        Describe = 8 "DESCRIBE",
        /// What nodes of the cluster do.
        ClusterAction = 9 "CLUSTER_ACTION",
        /// Describe configs.
        DescribeConfigs = 10 "DESCRIBE_CONFIGS",
        /// Alter configs.
        AlterConfigs = 11 "ALTER_CONFIGS",
        /// Write idempotently; since KIP-679 whoever may write to a topic may.
        IdempotentWrite = 12 "IDEMPOTENT_WRITE",
        /// Create delegation tokens of a user.
        CreateTokens = 13 "CREATE_TOKENS",
        /// Describe delegation tokens of a user.
        DescribeTokens = 14 "DESCRIBE_TOKENS",
        /// Two-phase commit (KIP-939).
        TwoPhaseCommit = 15 "TWO_PHASE_COMMIT",
    }
}

codes! {
    /// How the name of an ACL fits names of resources.
    PatternType {
        /// In a filter: every pattern.
        Any = 1 "ANY",
        /// In a filter: every pattern that fits the name.
        Match = 2 "MATCH",
        /// The name itself, or all names for `*`.
        Literal = 3 "LITERAL",
        /// Every name that begins with it.
        Prefixed = 4 "PREFIXED",
    }
}

codes! {
    /// Whether an ACL denies or allows.
    PermissionType {
        /// In a filter: both.
        Any = 1 "ANY",
        /// Denies.
        Deny = 2 "DENY",
        /// Allows.
        Allow = 3 "ALLOW",
    }
}

impl AclResourceType {
    /// Its name in Kafka's authorizer log.
    pub fn log_name(self) -> &'static str {
        match self {
            Self::Any => "Any",
            Self::Topic => "Topic",
            Self::Group => "Group",
            Self::Cluster => "Cluster",
            Self::TransactionalId => "TransactionalId",
            Self::DelegationToken => "DelegationToken",
            Self::User => "User",
        }
    }

    /// The operations that ACLs of this type can have: what a client learns about its rights
    /// (KIP-430). Kafka's `AclEntry.supportedOperations`.
    pub fn operations(self) -> &'static [AclOperation] {
        use AclOperation::*;
        match self {
            Self::Topic => &[Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs],
            Self::Group => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            Self::Cluster => &[Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe],
            Self::TransactionalId => &[Describe, Write, TwoPhaseCommit],
            Self::DelegationToken => &[Describe],
            Self::User => &[CreateTokens, DescribeTokens],
            Self::Any => &[],
        }
    }
}
