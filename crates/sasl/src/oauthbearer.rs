//! OAUTHBEARER (RFC 7628) with tokens that nobody has signed, for development: what Kafka serves if
//! no validator class is configured.

use crate::jaas::LoginModule;
use crate::{Answer, Failure, Login};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// Base64 of tokens, with or without padding.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is asked of tokens without a signature: options `unsecuredValidator...` of Kafka's
/// `OAuthBearerLoginModule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsecured {
    principal_claim: String,
    scope_claim: String,
    required_scope: Vec<String>,
    clock_skew_ms: i64,
}

impl Default for Unsecured {
    fn default() -> Self {
        Self {
            principal_claim: "sub".into(),
            scope_claim: "scope".into(),
            required_scope: Vec::new(),
            clock_skew_ms: 0,
        }
    }
}

impl Unsecured {
    /// Takes the options of a login module. Errors: one line that names the option.
    pub fn new(module: &LoginModule) -> Result<Self, String> {
        let option = |name: &str| module.option(name).map(str::trim).filter(|text| !text.is_empty());
        let skew = "unsecuredValidatorAllowableClockSkewMs";
        let clock_skew_ms = option(skew).map_or(Ok(0), |text| {
            text.parse().ok().filter(|ms| *ms >= 0).ok_or_else(|| format!("{skew} is not a number of milliseconds"))
        })?;
        let claim = |name: &str, default: &str| option(name).unwrap_or(default).to_string();
        let required = option("unsecuredValidatorRequiredScope").unwrap_or_default();
        Ok(Self {
            principal_claim: claim("unsecuredValidatorPrincipalClaimName", "sub"),
            scope_claim: claim("unsecuredValidatorScopeClaimName", "scope"),
            required_scope: required.split_whitespace().map(str::to_string).collect(),
            clock_skew_ms,
        })
    }
}

/// The server's side of one exchange.
#[derive(Debug, Default)]
pub struct Server {
    /// The error that the client was told, and has to confirm.
    refusal: Option<String>,
}

/// Why a token is not accepted.
struct Refusal {
    status: &'static str,
    scope: Option<String>,
}

const INVALID: Refusal = Refusal { status: "invalid_token", scope: None };

impl Server {
    /// Decides on a client's message.
    pub(crate) fn evaluate(&mut self, message: &[u8], unsecured: &Unsecured, now_ms: i64) -> Result<Answer, Failure> {
        if let Some(refusal) = self.refusal.take()
            && message == [1]
        {
            return Err(Failure::Told(refusal));
        }
        let (authorization_id, token) = initial_response(message)?;
        match accept(token, unsecured, now_ms) {
            Err(Refusal { status, scope }) => {
                let scope = scope.map_or(String::new(), |scope| format!(",\"scope\":\"{scope}\""));
                let json = format!("{{\"status\":\"{status}\"{scope}}}");
                self.refusal = Some(json.clone());
                Ok(Answer::Challenge(json.into_bytes()))
            }
            Ok(login) if !authorization_id.is_empty() && authorization_id != login.user => {
                let user = login.user;
                Err(Failure::Told(format!(
                    "Authentication failed: Client requested an authorization id ({authorization_id}) that is different from the \
                     token's principal name ({user})"
                )))
            }
            Ok(login) => Ok(Answer::Done(Vec::new(), login)),
        }
    }
}

/// Returns the authorization id and the token of the client's first message.
fn initial_response(message: &[u8]) -> Result<(&str, &str), Failure> {
    let invalid = || Failure::untold("Invalid OAUTHBEARER client first message");
    let text = std::str::from_utf8(message).map_err(|_| invalid())?;
    let (header, pairs) = text.split_once('\u{1}').ok_or_else(invalid)?;
    let authorization = header.strip_prefix("n,").and_then(|rest| rest.strip_suffix(',')).ok_or_else(invalid)?;
    let authorization_id = match authorization {
        "" => "",
        named => named.strip_prefix("a=").filter(|name| !name.is_empty() && !name.contains(',')).ok_or_else(invalid)?,
    };
    let pairs = pairs.strip_suffix("\u{1}\u{1}").ok_or_else(invalid)?;
    let mut token = None;
    for pair in pairs.split('\u{1}') {
        let (key, value) = pair.split_once('=').ok_or_else(invalid)?;
        let is_value = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t' | b'\r' | b'\n'));
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) || value.is_empty() || !is_value {
            return Err(invalid());
        }
        if key.eq_ignore_ascii_case("auth") {
            let (scheme, rest) = value.split_once(' ').ok_or_else(invalid)?;
            let of_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            let given = rest.trim_start_matches(' ');
            if !scheme.eq_ignore_ascii_case("bearer") || given.is_empty() || !given.bytes().all(of_token) {
                return Err(invalid());
            }
            token = Some(given);
        }
    }
    Ok((authorization_id, token.ok_or_else(invalid)?))
}

fn part(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE.decode(text).ok()?).ok()
}

/// Decides on a token.
fn accept(token: &str, unsecured: &Unsecured, now_ms: i64) -> Result<Login, Refusal> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), signature, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(INVALID);
    };
    let (header, claims) = (part(header).ok_or(INVALID)?, part(claims).ok_or(INVALID)?);
    if !signature.unwrap_or_default().is_empty() || header.get("alg").and_then(Value::as_str) != Some("none") {
        return Err(INVALID);
    }
    let user = claims.get(&unsecured.principal_claim).and_then(Value::as_str).map(str::trim);
    let user = user.filter(|user| !user.is_empty()).ok_or(INVALID)?;
    let time_ms = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(|seconds| Some(seconds * 1000.0)).ok_or(INVALID),
    };
    let (issued, expires) = (time_ms("iat")?, time_ms("exp")?.ok_or(INVALID)?);
    let (now, skew) = (now_ms as f64, unsecured.clock_skew_ms as f64);
    let is_early = issued.is_some_and(|issued| issued > now + skew);
    let is_backwards = issued.is_some_and(|issued| expires <= issued);
    if is_early || is_backwards || now - skew >= expires {
        return Err(INVALID);
    }
    let scopes: Vec<&str> = match claims.get(&unsecured.scope_claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split_whitespace().collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::trim).collect(),
        Some(_) => return Err(INVALID),
    };
    if unsecured.required_scope.iter().any(|scope| !scopes.contains(&scope.as_str())) {
        return Err(Refusal { status: "insufficient_scope", scope: Some(unsecured.required_scope.join(" ")) });
    }
    Ok(Login { user: user.to_string(), is_token: false, expires_ms: Some(expires as i64) })
}

/// Writes a token without a signature.
pub fn unsecured_token(claims: &Map<String, Value>) -> String {
    let claims = Value::Object(claims.clone()).to_string();
    format!("{}.{}.", URL_SAFE.encode(r#"{"alg":"none"}"#), URL_SAFE.encode(claims))
}

/// Writes a client's first message.
pub(crate) fn message(token: &str) -> Vec<u8> {
    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jaas;
    use serde_json::json;

    fn token(claims: &Value) -> String {
        unsecured_token(claims.as_object().unwrap())
    }

    #[test]
    fn claims_decide() {
        let text = r#"M required unsecuredValidatorRequiredScope="a b" unsecuredValidatorAllowableClockSkewMs="500";"#;
        let unsecured = Unsecured::new(&jaas::property(text).unwrap()).unwrap();
        let invalid = r#"{"status":"invalid_token"}"#;
        for (claims, expected) in [
            (json!({"sub": "alice", "exp": 11, "iat": 9, "scope": ["a", "b", "c"]}), "alice"),
            (json!({"sub": "alice", "exp": 9.6, "scope": "b a"}), "alice"),
            (json!({"sub": "alice", "exp": 9.4, "scope": "b a"}), invalid),
            (json!({"sub": "alice", "exp": 12, "iat": 10.6, "scope": "b a"}), invalid),
            (json!({"sub": "alice", "exp": 9.8, "iat": 9.9, "scope": "b a"}), invalid),
            (json!({"sub": "alice", "exp": 11, "scope": "a"}), r#"{"status":"insufficient_scope","scope":"a b"}"#),
            (json!({"sub": " ", "exp": 11, "scope": "a b"}), invalid),
            (json!({"sub": 5, "exp": 11, "scope": "a b"}), invalid),
            (json!({"exp": 11}), invalid),
            (json!({"sub": "alice", "scope": "a b"}), invalid),
            (json!({"sub": "alice", "exp": "11", "scope": "a b"}), invalid),
        ] {
            let mut server = Server::default();
            match server.evaluate(&message(&token(&claims)), &unsecured, 10_000).unwrap() {
                Answer::Done(rest, login) => assert_eq!((rest, login.user.as_str()), (vec![], expected), "{claims}"),
                Answer::Challenge(json) => {
                    assert_eq!(String::from_utf8_lossy(&json), expected, "{claims}");
                    let confirmed = server.evaluate(&[1], &unsecured, 10_000);
                    assert_eq!(confirmed, Err(Failure::told(expected)), "{claims}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_message_fails() {
        let unsecured = Unsecured::default();
        let good = token(&json!({"sub": "a", "exp": 11}));
        for message in [
            String::new(),
            "\u{1}".into(),
            "n,,\u{1}\u{1}".into(),
            "n,,\u{1}\u{1}\u{1}".into(),
            format!("n,,\u{1}auth=Bearer {good}"),
            format!("y,,\u{1}auth=Bearer {good}\u{1}\u{1}"),
            format!("n,,\u{1}auth=Basic {good}\u{1}\u{1}"),
            format!("n,,\u{1}auth={good}\u{1}\u{1}"),
            "n,,\u{1}auth=Bearer a b\u{1}\u{1}".into(),
        ] {
            let failure = Server::default().evaluate(message.as_bytes(), &unsecured, 0).unwrap_err();
            assert!(matches!(failure, Failure::Untold(_)), "{message:?}");
        }
        let other = format!("n,a=b,\u{1}auth=bearer  {good}\u{1}x=y\u{1}\u{1}");
        let failure = Server::default().evaluate(other.as_bytes(), &unsecured, 0).unwrap_err();
        assert!(failure.to_string().ends_with("(b) that is different from the token's principal name (a)"));
        // Signed tokens are not for this validator.
        let signed = message(&(good.clone() + "c2ln"));
        assert!(matches!(Server::default().evaluate(&signed, &unsecured, 0), Ok(Answer::Challenge(_))));
    }
}
