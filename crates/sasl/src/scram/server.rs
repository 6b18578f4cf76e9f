//! The server's side of SCRAM.
//!
//! A user without a credential gets a challenge too, with a salt that is always the same for the
//! same name, and fails where a wrong password fails: nobody learns which users there are. Kafka
//! fails such a user at once, with the same error.

use super::messages::{ClientFinal, ClientFirst, ServerFirst};
use super::{Credential, Hash, ITERATIONS_MIN, digest, hmac, xor};
use crate::{Answer, Failure, Login, is_equal};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The characters of a salt that stands for a user without a credential. Kafka's tools make salts
/// of these.
const SALT_LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// The length of such a salt.
const SALT_BYTES: usize = 26;

/// Whose credential is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The hash of the mechanism.
    pub hash: Hash,
    /// The name of the user, or the id of a delegation token.
    pub name: &'a str,
    /// Whether it is a delegation token.
    pub is_token: bool,
}

/// A credential, and who logs in with it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The credential.
    pub credential: Credential,
    /// The user: of a delegation token, its owner.
    pub user: String,
    /// When the credential ends, in milliseconds since 1970.
    pub expires_ms: Option<i64>,
}

/// The server's side of one exchange.
#[derive(Debug)]
pub struct Server {
    hash: Hash,
    /// What this side adds to the client's nonce.
    nonce: String,
    state: State,
}

#[derive(Debug)]
enum State {
    First,
    Final(Box<Challenged>),
    Ended,
}

/// A client that was given a challenge.
struct Challenged {
    login: Login,
    credential: Credential,
    is_known: bool,
    nonce: String,
    /// Both first messages, each with a comma behind it.
    signed: String,
}

impl std::fmt::Debug for Challenged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenged").field("login", &self.login).finish_non_exhaustive()
    }
}

impl Server {
    /// Begins an exchange. The random bytes become this side's nonce.
    pub fn new(hash: Hash, random: &[u8; 24]) -> Self {
        Self { hash, nonce: BASE64_STANDARD.encode(random), state: State::First }
    }

    /// Decides on a client's message. `lookup` returns the account of a name. `decoy` is a secret
    /// of this process.
    pub fn evaluate(
        &mut self,
        message: &[u8],
        lookup: &dyn Fn(&Wanted<'_>) -> Option<Account>,
        decoy: &[u8],
    ) -> Result<Answer, Failure> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::First => {
                let (challenged, challenge) = self.challenge(message, lookup, decoy)?;
                self.state = State::Final(Box::new(challenged));
                Ok(Answer::Challenge(challenge))
            }
            State::Final(challenged) => self.verify(message, *challenged),
            State::Ended => Err(Failure::untold("Unexpected challenge in Sasl server state COMPLETE")),
        }
    }

    fn challenge(
        &self,
        message: &[u8],
        lookup: &dyn Fn(&Wanted<'_>) -> Option<Account>,
        decoy: &[u8],
    ) -> Result<(Challenged, Vec<u8>), Failure> {
        let first =
            ClientFirst::parse(message).ok_or_else(|| Failure::untold("Invalid SCRAM client first message format"))?;
        let known = lookup(&Wanted { hash: self.hash, name: &first.user, is_token: first.is_token });
        let is_known = known.is_some();
        // Made for every user, so that it costs all of them the same.
        let decoy = unknown(self.hash, &first.user, decoy);
        let account = known.unwrap_or(decoy);
        if !first.authorization_id.is_empty() && first.authorization_id != first.user {
            return Err(Failure::told(
                "Authentication failed: Client requested an authorization id that is different from username",
            ));
        }
        if account.credential.iterations < ITERATIONS_MIN {
            let found = account.credential.iterations;
            return Err(Failure::untold(format!("Iterations {found} is less than the minimum {ITERATIONS_MIN}")));
        }
        let nonce = format!("{}{}", first.nonce, self.nonce);
        let salt = account.credential.salt.clone();
        let challenge = ServerFirst { nonce: &nonce, salt, iterations: account.credential.iterations }.text();
        let signed = format!("{},{challenge},", first.bare);
        let login = Login { user: account.user, is_token: first.is_token, expires_ms: account.expires_ms };
        Ok((Challenged { login, credential: account.credential, is_known, nonce, signed }, challenge.into_bytes()))
    }

    fn verify(&self, message: &[u8], challenged: Challenged) -> Result<Answer, Failure> {
        let last =
            ClientFinal::parse(message).ok_or_else(|| Failure::untold("Invalid SCRAM client final message format"))?;
        if last.nonce != challenged.nonce {
            return Err(Failure::untold("Invalid client nonce in the final client message."));
        }
        let Challenged { login, credential, is_known, signed, .. } = challenged;
        let auth_message = signed + &last.without_proof;
        let mut client_key = hmac(self.hash, &credential.stored_key, auth_message.as_bytes());
        let has_length = client_key.len() == last.proof.len();
        xor(&mut client_key, &last.proof);
        let is_right = is_equal(&digest(self.hash, &client_key), &credential.stored_key);
        if !is_known || !is_right || !has_length {
            return Err(Failure::untold("Invalid client credentials"));
        }
        let signature = hmac(self.hash, &credential.server_key, auth_message.as_bytes());
        Ok(Answer::Done(format!("v={}", BASE64_STANDARD.encode(signature)).into_bytes(), login))
    }
}

/// The account that stands for a user without one. Nobody knows a password for it.
fn unknown(hash: Hash, user: &str, decoy: &[u8]) -> Account {
    let random = hmac(hash, decoy, user.as_bytes());
    let letters = random.iter().map(|byte| SALT_LETTERS[usize::from(*byte) % SALT_LETTERS.len()]);
    let salt = letters.take(SALT_BYTES).collect();
    let stored_key = hmac(hash, decoy, &random);
    let server_key = stored_key.clone();
    let credential = Credential { salt, stored_key, server_key, iterations: ITERATIONS_MIN };
    Account { credential, user: user.to_string(), expires_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(hash: Hash, password: &str, salt: &[u8]) -> Account {
        let credential = Credential::of_password(hash, password, salt, 4096);
        Account { credential, user: "user".into(), expires_ms: None }
    }

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_rfc_logs_in() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let known = account(Hash::Sha256, "pencil", &salt);
        let lookup = |wanted: &Wanted<'_>| (wanted.name == "user").then(|| known.clone());
        let mut server = Server::new(Hash::Sha256, &[0; 24]);
        server.nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".into();
        let challenge = server.evaluate(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &lookup, b"").unwrap();
        let expected =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".as_bytes();
        assert_eq!(challenge, Answer::Challenge(expected.to_vec()));
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let done = server.evaluate(last.as_bytes(), &lookup, b"").unwrap();
        let Answer::Done(signature, login) = done else { panic!("{done:?}") };
        assert_eq!(signature, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(login, Login { user: "user".into(), is_token: false, expires_ms: None });
        assert!(matches!(server.evaluate(last.as_bytes(), &lookup, b""), Err(Failure::Untold(_))));
    }

    #[test]
    fn an_unknown_user_fails_where_a_wrong_password_fails() {
        let known = account(Hash::Sha512, "pencil", b"salt");
        let lookup = |wanted: &Wanted<'_>| (wanted.name == "user").then(|| known.clone());
        let fails = |user: &str| {
            let mut server = Server::new(Hash::Sha512, &[7; 24]);
            let first = server.evaluate(format!("n,,n={user},r=abc").as_bytes(), &lookup, b"decoy").unwrap();
            let Answer::Challenge(challenge) = first else { panic!("{first:?}") };
            let nonce = format!("abc{}", server.nonce);
            let last = format!("c=biws,r={nonce},p={}", BASE64_STANDARD.encode([0; 64]));
            (challenge, server.evaluate(last.as_bytes(), &lookup, b"decoy").unwrap_err())
        };
        assert_eq!(fails("user").1, fails("nobody").1);
        assert_eq!(fails("nobody").0, fails("nobody").0, "the salt of a name does not change");
        assert_ne!(fails("nobody").0, fails("nobody2").0);
    }

    #[test]
    fn a_token_is_looked_for_as_one() {
        let lookup = |wanted: &Wanted<'_>| {
            assert_eq!((wanted.name, wanted.is_token), ("id", true));
            Some(Account { expires_ms: Some(9), ..account(Hash::Sha256, "hmac", b"s") })
        };
        let mut server = Server::new(Hash::Sha256, &[7; 24]);
        assert!(server.evaluate(b"n,,n=id,r=abc,tokenauth=true", &lookup, b"").is_ok());
    }

    #[test]
    fn what_is_no_message_fails() {
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "y,,n=user,r=abc",
            "p=tls,,n=user,r=abc",
            "n,,n=,r=abc",
            "n,,n=user,r=",
            "n,,n=us=er,r=abc",
            "n,,n=user",
            "n,,m=x,n=user,r=abc",
            "n,,n=user,r=abc,",
            "n,,n=user,r=abc,1=2",
            "n,a=,n=user,r=abc",
            "n,,n=\0,r=abc",
            "n,,n=ü,r=abc",
            "n,,n=user=2,r=abc",
        ] {
            let mut server = Server::new(Hash::Sha256, &[0; 24]);
            let failure = server.evaluate(message.as_bytes(), &|_| None, b"").unwrap_err();
            assert_eq!(failure, Failure::untold("Invalid SCRAM client first message format"), "{message:?}");
        }
        let mut server = Server::new(Hash::Sha256, &[0; 24]);
        let failure = server.evaluate(b"n,a=admin,n=user,r=abc", &|_| None, b"").unwrap_err();
        assert!(matches!(failure, Failure::Told(_)), "{failure:?}");
        let nonce = format!("abc{}", BASE64_STANDARD.encode([0; 24]));
        for message in [
            "",
            "c=biws",
            "c=biws,r=abc",
            &format!("c=biws,r={nonce},p="),
            &format!("c=*,r={nonce},p=AA=="),
            "c=biws,r=abc,p=AA==",
        ] {
            let mut server = Server::new(Hash::Sha256, &[0; 24]);
            let known = account(Hash::Sha256, "pencil", b"salt");
            server.evaluate(b"n,,n=a=2Cb=3D,r=abc", &|_| Some(known.clone()), b"").unwrap();
            assert!(
                matches!(server.evaluate(message.as_bytes(), &|_| None, b""), Err(Failure::Untold(_))),
                "{message}"
            );
        }
    }
}
