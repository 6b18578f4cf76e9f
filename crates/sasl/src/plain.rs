//! PLAIN (RFC 4616): the client sends its password. The users are options `user_NAME="password"` of
//! Kafka's `PlainLoginModule`.

use crate::jaas::LoginModule;
use crate::{Answer, Failure, Login, is_equal};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The prefix of options that are users.
const USER: &str = "user_";

/// The users of a listener. Passwords are held as digests, which all have the same length: a
/// comparison takes the same time for each of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<String, [u8; 32]>);

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Users {
    /// Takes the users of a login module.
    pub fn new(module: &LoginModule) -> Self {
        let users = module.options.iter().filter_map(|(name, password)| {
            let user = name.strip_prefix(USER)?;
            Some((user.to_string(), Sha256::digest(password.expose()).into()))
        });
        Self(users.collect())
    }

    fn knows(&self, user: &str, password: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(password).into();
        let stored = self.0.get(user);
        is_equal(&given, stored.unwrap_or(&[0; 32])) && stored.is_some()
    }
}

/// Decides on a client's message.
pub(crate) fn evaluate(message: &[u8], users: &Users) -> Result<Answer, Failure> {
    let text = String::from_utf8_lossy(message);
    let parts: Vec<&str> = text.splitn(4, '\0').collect();
    let [asked_for, user, password] = parts.as_slice() else {
        let count = parts.len();
        return Err(Failure::told(format!("Invalid SASL/PLAIN response: expected 3 tokens, got {count}")));
    };
    if user.is_empty() {
        return Err(Failure::told("Authentication failed: username not specified"));
    }
    if password.is_empty() {
        return Err(Failure::told("Authentication failed: password not specified"));
    }
    if !users.knows(user, password) {
        return Err(Failure::told("Authentication failed: Invalid username or password"));
    }
    if !asked_for.is_empty() && asked_for != user {
        return Err(Failure::told(
            "Authentication failed: Client requested an authorization id that is different from username",
        ));
    }
    Ok(Answer::Done(Vec::new(), Login { user: (*user).to_string(), is_token: false, expires_ms: None }))
}

/// Writes a client's message.
pub(crate) fn message(user: &str, password: &str) -> Vec<u8> {
    format!("\0{user}\0{password}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jaas;

    #[test]
    fn passwords_decide() {
        let module = jaas::property("P required username=\"x\" user_tim=\"tanstaaftanstaaf\" user_é=\"ü\";").unwrap();
        let users = Users::new(&module);
        for (message, expected) in [
            // The examples of RFC 4616.
            ("\0tim\0tanstaaftanstaaf", "tim"),
            ("Ursel\0Kurt\0xipj3plmq", "!Authentication failed: Invalid username or password"),
            ("\0é\0ü", "é"),
            ("tim\0tim\0tanstaaftanstaaf", "tim"),
            (
                "bob\0tim\0tanstaaftanstaaf",
                "!Authentication failed: Client requested an authorization id that is different from username",
            ),
            ("\0tim\0tanstaaf", "!Authentication failed: Invalid username or password"),
            ("\0x\0x", "!Authentication failed: Invalid username or password"),
            ("\0\0x", "!Authentication failed: username not specified"),
            ("\0tim\0", "!Authentication failed: password not specified"),
            ("", "!Invalid SASL/PLAIN response: expected 3 tokens, got 1"),
            ("tim\0x", "!Invalid SASL/PLAIN response: expected 3 tokens, got 2"),
            ("\0tim\0x\0y\0z", "!Invalid SASL/PLAIN response: expected 3 tokens, got 4"),
        ] {
            let said = match evaluate(message.as_bytes(), &users) {
                Ok(Answer::Done(rest, login)) if rest.is_empty() => login.user,
                Err(Failure::Told(why)) => format!("!{why}"),
                other => panic!("{other:?}"),
            };
            assert_eq!(said, expected, "{message:?}");
        }
        assert!(evaluate(b"\0tim\0\xff\xfe", &users).is_err());
        assert!(!format!("{users:?}").contains("tanstaaf"));
        assert_eq!(evaluate(&message("tim", "tanstaaftanstaaf"), &users).map(|_| ()), Ok(()));
    }
}
