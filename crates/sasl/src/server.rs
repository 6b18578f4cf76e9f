//! The server's side of one exchange, of any mechanism.

use crate::oauthbearer::{self, Unsecured};
use crate::scram::Hash;
use crate::scram::server::{self as scram, Account, Wanted};
use crate::{Answer, Failure, Mechanism, plain};

/// What an exchange asks for.
pub struct Facts<'a> {
    /// The users of PLAIN.
    pub users: &'a plain::Users,
    /// Returns the account of a user or a delegation token.
    pub account: &'a dyn Fn(&Wanted<'_>) -> Option<Account>,
    /// A secret of this process.
    pub decoy: &'a [u8],
    /// What is asked of tokens without a signature.
    pub unsecured: &'a Unsecured,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
}

/// The server's side of one exchange.
#[derive(Debug)]
pub struct Server(Exchange);

#[derive(Debug)]
enum Exchange {
    Plain,
    Scram(scram::Server),
    OAuthBearer(oauthbearer::Server),
}

impl Server {
    /// Begins an exchange. The random bytes become the server's nonce.
    pub fn new(mechanism: Mechanism, random: &[u8; 24]) -> Self {
        Self(match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::ScramSha256 => Exchange::Scram(scram::Server::new(Hash::Sha256, random)),
            Mechanism::ScramSha512 => Exchange::Scram(scram::Server::new(Hash::Sha512, random)),
            Mechanism::OAuthBearer => Exchange::OAuthBearer(oauthbearer::Server::default()),
        })
    }

    /// Decides on a client's message.
    pub fn evaluate(&mut self, message: &[u8], facts: &Facts<'_>) -> Result<Answer, Failure> {
        match &mut self.0 {
            Exchange::Plain => plain::evaluate(message, facts.users),
            Exchange::Scram(server) => server.evaluate(message, facts.account, facts.decoy),
            Exchange::OAuthBearer(server) => server.evaluate(message, facts.unsecured, facts.now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scram::Credential;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_message_makes_it_panic(
            first in prop_oneof!["n,(a=b)?,(n=|auth=|\u{1})[a-z=,\u{1}]{0,20}", ".{0,60}"],
            last in prop_oneof!["c=biws,r=[a-zA-Z0-9+/=]{0,60},p=[A-Z=]{0,8}", ".{0,60}"],
        ) {
            for mechanism in Mechanism::ALL {
                let credential = || Credential::of_password(Hash::Sha256, "p", b"s", 1);
                let account = |_: &Wanted<'_>| Some(Account { credential: credential(), user: "u".into(), expires_ms: None });
                let (users, unsecured) = (plain::Users::default(), Unsecured::default());
                let facts = Facts { users: &users, account: &account, decoy: b"", unsecured: &unsecured, now_ms: 0 };
                let mut server = Server::new(mechanism, &[0; 24]);
                for message in [&first, &last, &last] {
                    let done = matches!(server.evaluate(message.as_bytes(), &facts), Ok(Answer::Done(..)));
                    prop_assert!(!done);
                }
            }
        }
    }
}
