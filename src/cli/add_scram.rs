//! `--add-scram` of `gregor format` (KIP-900): the first SCRAM credentials of a cluster. The
//! messages are Kafka's, without what may be a secret.

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use metadata::image::ScramMechanism;
use metadata::{MetadataVersion, VersionedRecord};
use protocol::MetadataRecord;
use protocol::messages::user_scram_credential_record::UserScramCredentialRecord;
use sasl::scram::{Credential, Hash, ITERATIONS_MIN, salted_password};

/// Makes the record of an argument `SCRAM-SHA-256=[name=alice,password=...]`. The random bytes
/// become the salt if the argument has none.
pub(super) fn record(argument: &str, version: MetadataVersion, random: &[u8; 16]) -> anyhow::Result<VersionedRecord> {
    ensure!(version.has_scram(), "SCRAM is only supported in metadata.version 3.5-IV2 or later.");
    let (name, data) = argument.trim().split_once('=').context("Failed to find equals sign in SCRAM argument")?;
    let (mechanism, hash) = match name.trim() {
        "SCRAM-SHA-256" => (ScramMechanism::Sha256, Hash::Sha256),
        "SCRAM-SHA-512" => (ScramMechanism::Sha512, Hash::Sha512),
        other => bail!("The add-scram mechanism {other} is not supported."),
    };
    let data = data.trim().strip_prefix('[').context("Expected configuration string to start with [")?;
    let data = data.strip_suffix(']').context("Expected configuration string to end with ]")?;
    let given = Given::parse(data)?;
    let user = given.name.context("You must supply 'name' to add-scram")?;
    let iterations = given.iterations.unwrap_or(ITERATIONS_MIN);
    let (min, max, shown) = (mechanism.min_iterations(), mechanism.max_iterations(), name.trim());
    ensure!(iterations >= min, "The 'iterations' value must be >= {min} for add-scram using {shown}");
    ensure!(iterations <= max, "The 'iterations' value must be <= {max} for add-scram using {shown}");
    let has_salt = given.salt.is_some();
    let salt = given.salt.unwrap_or_else(|| random.to_vec());
    let salted = match (given.password, given.salted_password) {
        (Some(password), None) => salted_password(hash, password.as_bytes(), &salt, iterations),
        (None, Some(salted)) => {
            ensure!(has_salt, "You must supply 'salt' with 'saltedpassword' to add-scram");
            salted
        }
        _ => bail!("You must supply one of 'password' or 'saltedpassword' to add-scram"),
    };
    let Credential { salt, stored_key, server_key, iterations } =
        Credential::of_salted(hash, &salted, &salt, iterations);
    Ok(VersionedRecord::v0(MetadataRecord::UserScramCredential(UserScramCredentialRecord {
        name: user.into(),
        mechanism: mechanism.code(),
        salt: salt.into(),
        stored_key: stored_key.into(),
        server_key: server_key.into(),
        iterations,
        ..Default::default()
    })))
}

/// The parts of an argument.
#[derive(Default)]
struct Given {
    name: Option<String>,
    salt: Option<Vec<u8>>,
    iterations: Option<i32>,
    password: Option<String>,
    salted_password: Option<Vec<u8>>,
}

impl Given {
    fn parse(data: &str) -> anyhow::Result<Self> {
        let mut this = Self::default();
        for part in data.split(',') {
            let (name, value) = part.trim().split_once('=').context("No equals sign found in SCRAM component")?;
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
            match name.trim() {
                "name" => this.name = Some(value.to_string()),
                "salt" => this.salt = Some(BASE64_STANDARD.decode(value).context("Failed to decode given salt")?),
                "iterations" => {
                    let count = value.parse().with_context(|| format!("Failed to parse iterations count: {value}"))?;
                    this.iterations = Some(count);
                }
                "password" => this.password = Some(value.to_string()),
                "saltedpassword" => {
                    let decoded = BASE64_STANDARD.decode(value);
                    this.salted_password = Some(decoded.ok().context("Failed to decode given saltedPassword")?);
                }
                other => bail!("Unknown SCRAM configurations: {other}"),
            }
        }
        Ok(this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(argument: &str, version: MetadataVersion) -> String {
        match record(argument, version, &[7; 16]) {
            Ok(VersionedRecord { record: MetadataRecord::UserScramCredential(it), .. }) => {
                format!("{} {} {} {}", it.name, it.mechanism, it.iterations, it.salt.len())
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn arguments_become_credentials_or_kafkas_messages() {
        for (argument, expected) in [
            ("SCRAM-SHA-256=[name=alice,password=secret]", "alice 1 4096 16"),
            (
                " SCRAM-SHA-512 = [ name = \"alice\" , password=\"secret\" , iterations=8192, salt=\"AAAA\" ] ",
                "alice 2 8192 3",
            ),
            ("SCRAM-SHA-256=[name=a,saltedpassword=AAAA,salt=AAAA]", "a 1 4096 3"),
            ("SCRAM-SHA-256", "Failed to find equals sign in SCRAM argument"),
            ("SCRAM-SHA-1=[name=a,password=secret]", "The add-scram mechanism SCRAM-SHA-1 is not supported."),
            ("SCRAM-SHA-256=name=a,password=secret", "Expected configuration string to start with ["),
            ("SCRAM-SHA-256=[name=a,password=secret", "Expected configuration string to end with ]"),
            ("SCRAM-SHA-256=[password=secret]", "You must supply 'name' to add-scram"),
            ("SCRAM-SHA-256=[name=a]", "You must supply one of 'password' or 'saltedpassword' to add-scram"),
            (
                "SCRAM-SHA-256=[name=a,password=secret,saltedpassword=AAAA,salt=AAAA]",
                "You must supply one of 'password' or 'saltedpassword' to add-scram",
            ),
            ("SCRAM-SHA-256=[name=a,saltedpassword=AAAA]", "You must supply 'salt' with 'saltedpassword' to add-scram"),
            (
                "SCRAM-SHA-256=[name=a,password=secret,iterations=4095]",
                "The 'iterations' value must be >= 4096 for add-scram using SCRAM-SHA-256",
            ),
            (
                "SCRAM-SHA-256=[name=a,password=secret,iterations=16385]",
                "The 'iterations' value must be <= 16384 for add-scram using SCRAM-SHA-256",
            ),
            ("SCRAM-SHA-256=[name=a,password=secret,iterations=x]", "Failed to parse iterations count: x"),
            ("SCRAM-SHA-256=[name=a,password=secret,x=y]", "Unknown SCRAM configurations: x"),
            ("SCRAM-SHA-256=[name=a,password=secret,with]", "No equals sign found in SCRAM component"),
            ("SCRAM-SHA-256=[name=a,saltedpassword=*secret,salt=AAAA]", "Failed to decode given saltedPassword"),
        ] {
            let said = said(argument, MetadataVersion::LATEST);
            assert_eq!(said, expected, "{argument}");
            assert!(!said.contains("secret"));
        }
        let old = MetadataVersion::from_name("3.5-IV1").unwrap();
        let expected = "SCRAM is only supported in metadata.version 3.5-IV2 or later.";
        assert_eq!(said("SCRAM-SHA-256=[name=a,password=secret]", old), expected);
    }
}
