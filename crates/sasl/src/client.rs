//! The client's side of one exchange: how this node logs in at others.

use crate::jaas::LoginModule;
use crate::scram::{Hash, ITERATIONS_MAX, ITERATIONS_MIN, Proof, ServerFirst, escape, salted_password, server_final};
use crate::{Mechanism, Secret, is_equal, oauthbearer, plain};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

/// With what this node logs in.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// PLAIN or SCRAM: a user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
        /// Whether it is a delegation token.
        is_token: bool,
    },
    /// OAUTHBEARER: the claims of a token that nobody signs.
    Unsecured {
        /// The claims, without the times.
        claims: Map<String, Value>,
        /// How long a token lives.
        lifetime_seconds: i64,
    },
}

impl Credentials {
    /// Takes the credentials of a login module. Errors: what is missing.
    pub fn new(mechanism: Mechanism, module: &LoginModule) -> Result<Self, String> {
        if mechanism == Mechanism::OAuthBearer {
            return unsecured(module);
        }
        let required = |name: &str| module.option(name).ok_or_else(|| format!("the option {name} is missing"));
        let is_token = module.option("tokenauth").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let (user, password) = (required("username")?.to_string(), Secret::new(required("password")?));
        Ok(Credentials::Password { user, password, is_token })
    }
}

/// Reads options `unsecuredLogin...` of Kafka's `OAuthBearerLoginModule`.
fn unsecured(module: &LoginModule) -> Result<Credentials, String> {
    const LIFETIME: &str = "unsecuredLoginLifetimeSeconds";
    let mut claims = Map::new();
    for (name, value) in &module.options {
        let value = value.expose();
        if let Some(claim) = name.strip_prefix("unsecuredLoginStringClaim_") {
            claims.insert(claim.to_string(), Value::from(value));
        } else if let Some(claim) = name.strip_prefix("unsecuredLoginNumberClaim_") {
            let number: f64 = value.trim().parse().map_err(|_| format!("the option {name} is no number"))?;
            claims.insert(claim.to_string(), Value::from(number));
        } else if let Some(claim) = name.strip_prefix("unsecuredLoginListClaim_") {
            let separator = value.chars().next().unwrap_or(' ');
            let items = value.split(separator).filter(|item| !item.is_empty()).map(Value::from);
            claims.insert(claim.to_string(), items.collect());
        }
    }
    if claims.is_empty() {
        return Err("the option unsecuredLoginStringClaim_sub is missing".into());
    }
    let lifetime = module.option(LIFETIME).map_or(Some(3600), |text| text.trim().parse().ok());
    let lifetime_seconds =
        lifetime.filter(|it| *it > 0).ok_or_else(|| format!("the option {LIFETIME} is no number"))?;
    Ok(Credentials::Unsecured { claims, lifetime_seconds })
}

/// The client's side of one exchange.
#[derive(Debug)]
pub struct Client {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The server has nothing more to say.
    Last,
    ScramFirst {
        hash: Hash,
        password: Secret,
        nonce: String,
        bare: String,
    },
    ScramFinal {
        signature: Secret,
    },
    Ended,
}

impl Client {
    /// Begins an exchange: the client, and its first message. The random bytes become its nonce.
    pub fn new(mechanism: Mechanism, credentials: &Credentials, random: &[u8; 24], now_ms: i64) -> (Self, Vec<u8>) {
        let hash = match mechanism {
            Mechanism::ScramSha512 => Hash::Sha512,
            Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::OAuthBearer => Hash::Sha256,
        };
        match credentials {
            Credentials::Unsecured { claims, lifetime_seconds } => {
                let mut claims = claims.clone();
                let now = now_ms / 1000;
                claims.insert("iat".into(), Value::from(now));
                claims.insert("exp".into(), Value::from(now.saturating_add(*lifetime_seconds)));
                (Self { state: State::Last }, oauthbearer::message(&oauthbearer::unsecured_token(&claims)))
            }
            Credentials::Password { user, password, .. } if mechanism == Mechanism::Plain => {
                (Self { state: State::Last }, plain::message(user, password.expose()))
            }
            Credentials::Password { user, password, is_token } => {
                let nonce = BASE64_STANDARD.encode(random);
                let extension = if *is_token { ",tokenauth=true" } else { "" };
                let bare = format!("n={},r={nonce}{extension}", escape(user));
                let first = format!("n,,{bare}").into_bytes();
                (Self { state: State::ScramFirst { hash, password: password.clone(), nonce, bare } }, first)
            }
        }
    }

    /// Whether nothing more is expected from the server.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Answers a challenge. Returns the next message; `None` if there is nothing more to say.
    /// Errors: the server is not what it should be, or says why it refuses.
    pub fn evaluate(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Last if challenge.is_empty() => Ok(None),
            // RFC 7628: the server tells an error, and the client confirms it with this byte.
            State::Last => {
                self.state = State::Last;
                Ok(Some(vec![1]))
            }
            State::ScramFirst { hash, password, nonce, bare } => {
                let first = ServerFirst::parse(challenge).ok_or("its challenge is no message of SCRAM")?;
                if !first.nonce.starts_with(&nonce) || first.nonce == nonce {
                    return Err("its challenge does not continue this node's nonce".into());
                }
                if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&first.iterations) {
                    return Err(format!("it asks for {} iterations of the password", first.iterations));
                }
                let without_proof = format!("c=biws,r={}", first.nonce);
                let auth_message = format!("{bare},{},{without_proof}", String::from_utf8_lossy(challenge));
                let salted = salted_password(hash, password.expose().as_bytes(), &first.salt, first.iterations);
                let proof = Proof::new(hash, &salted, &auth_message);
                let signature = Secret::new(BASE64_STANDARD.encode(&proof.server_signature));
                self.state = State::ScramFinal { signature };
                Ok(Some(format!("{without_proof},p={}", BASE64_STANDARD.encode(&proof.client_proof)).into_bytes()))
            }
            State::ScramFinal { signature } => {
                let given = BASE64_STANDARD.encode(server_final(challenge)?);
                if !is_equal(given.as_bytes(), signature.expose().as_bytes()) {
                    return Err("it does not know this node's password".into());
                }
                Ok(None)
            }
            State::Ended => Err("it goes on after the end of the exchange".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauthbearer::Unsecured;
    use crate::plain::Users;
    use crate::scram::Credential;
    use crate::scram::server::{Account, Wanted};
    use crate::server::{Facts, Server};
    use crate::{Answer, Failure, Login, jaas};

    fn exchange(mechanism: Mechanism, client: &str, server: &str) -> Result<Login, String> {
        let module = jaas::property(client).unwrap();
        let credentials = Credentials::new(mechanism, &module).unwrap();
        assert!(!format!("{credentials:?}").contains("secret"));
        let (mut client, mut message) = Client::new(mechanism, &credentials, &[1; 24], 1_000_000);
        let account = |wanted: &Wanted<'_>| {
            let credential = Credential::of_password(wanted.hash, "a-secret", b"salt", 4096);
            (wanted.name == "al,i=ce").then_some(Account { credential, user: wanted.name.into(), expires_ms: None })
        };
        let users = Users::new(&jaas::property(server).unwrap());
        let unsecured = Unsecured::default();
        let facts = Facts { users: &users, account: &account, decoy: b"d", unsecured: &unsecured, now_ms: 1_000_500 };
        let mut server = Server::new(mechanism, &[2; 24]);
        loop {
            let (answer, login) = match server.evaluate(&message, &facts).map_err(|failure| failure.to_string())? {
                Answer::Challenge(answer) => (answer, None),
                Answer::Done(answer, login) => (answer, Some(login)),
            };
            match (client.evaluate(&answer)?, login) {
                (Some(next), None) => message = next,
                (None, Some(login)) => {
                    assert!(client.is_done());
                    return Ok(login);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn both_sides_understand_each_other() {
        let right = r#"M required username="al,i=ce" password="a-secret";"#;
        let wrong = r#"M required username="al,i=ce" password="another-secret";"#;
        let users = r#"M required user_x="y";"#;
        for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
            assert_eq!(exchange(mechanism, right, users).unwrap().user, "al,i=ce");
            assert_eq!(exchange(mechanism, wrong, users).unwrap_err(), "Invalid client credentials");
        }
        let plain = r#"M required username="x" password="y";"#;
        assert_eq!(exchange(Mechanism::Plain, plain, users).unwrap().user, "x");
        let told = "Authentication failed: Invalid username or password";
        assert_eq!(exchange(Mechanism::Plain, right, users).unwrap_err(), told);
        let token = r#"M required unsecuredLoginStringClaim_sub="broker" unsecuredLoginListClaim_scope="|a|b";"#;
        let login = exchange(Mechanism::OAuthBearer, token, users).unwrap();
        assert_eq!((login.user.as_str(), login.expires_ms), ("broker", Some(4_600_000)));
        let expired = r#"M required unsecuredLoginStringClaim_x="broker";"#;
        let refused = exchange(Mechanism::OAuthBearer, expired, users).unwrap_err();
        assert_eq!(refused, r#"{"status":"invalid_token"}"#);
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let module = jaas::property(r#"M required username="u" password="p";"#).unwrap();
        let credentials = Credentials::new(Mechanism::ScramSha256, &module).unwrap();
        let begin = || Client::new(Mechanism::ScramSha256, &credentials, &[0; 24], 0).0;
        let nonce = BASE64_STANDARD.encode([0; 24]);
        for challenge in [
            "".into(),
            "r=other,s=AAAA,i=4096".into(),
            format!("r={nonce},s=AAAA,i=4096"),
            format!("r={nonce}x,s=AAAA,i=1"),
            format!("r={nonce}x,s=AAAA,i=2000000000"),
            format!("r={nonce}x,s=*,i=4096"),
        ] {
            assert!(begin().evaluate(challenge.as_bytes()).is_err(), "{challenge}");
        }
        for last in ["", "v=AAAA", "v=*", "e=other-error"] {
            let mut client = begin();
            client.evaluate(format!("r={nonce}x,s=AAAA,i=4096").as_bytes()).unwrap();
            assert!(client.evaluate(last.as_bytes()).is_err(), "{last}");
        }
        let failure = Failure::told("x");
        assert_eq!(failure.to_string(), "x");
    }
}
