//! `gregor container`: runs a node that is configured as the image `apache/kafka` is, from
//! environment variables and mounted files (KIP-975, KIP-1028). It is the entry point of Gregor's
//! image, so that a compose file changes its image and nothing else.
//!
//! `KAFKA_LOG_DIRS` becomes `log.dirs`: `_` is a dot, `__` an underscore and `___` a dash. A
//! `server.properties` in the mounted folder comes first, and variables override it. Without both,
//! the node has the defaults of the image.

use super::{Container, Format, Start, output};
use crate::runtime::format::FormatError;
use crate::runtime::loggers::{self, ROOT};
use anyhow::{Context as _, anyhow, bail};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The cluster's id if `CLUSTER_ID` is not set. It is the one of `apache/kafka`.
const CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";
/// The variables that begin with `KAFKA_` and are not properties.
const NO_PROPERTIES: [&str; 11] = [
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    ROOT_LEVEL,
    LOGGERS,
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
];
const ROOT_LEVEL: &str = "KAFKA_LOG4J_ROOT_LOGLEVEL";
const LOGGERS: &str = "KAFKA_LOG4J_LOGGERS";
/// The name of the configuration, mounted and final.
const PROPERTIES: &str = "server.properties";

/// The configuration of a container without any: one node, broker and controller.
const DEFAULTS: &str = "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
";

/// The variables of a process.
type Variables = BTreeMap<String, String>;

impl Container {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut variables = Variables::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            if !name.starts_with("KAFKA_") && name != "CLUSTER_ID" {
                continue;
            }
            let value = value.into_string();
            variables.insert(name.clone(), value.ok().with_context(|| format!("{name}: its value is not UTF-8"))?);
        }
        self.start(variables)?.run()
    }

    /// Writes the node's configuration, formats its log dirs if they are new, and returns how the
    /// node starts.
    fn start(&self, mut variables: Variables) -> anyhow::Result<Start> {
        for setting in &self.variables {
            let (name, value) = setting.split_once('=').with_context(|| format!("{setting}: it takes NAME=VALUE"))?;
            variables.insert(name.into(), value.into());
        }
        let cluster_id = variables.remove("CLUSTER_ID").filter(|id| !id.is_empty());
        let path = self.configure(variables.clone())?;
        let format = Format {
            config: path.clone(),
            cluster_id: cluster_id.unwrap_or_else(|| CLUSTER_ID.into()),
            ..Format::default()
        };
        match format.lines() {
            Ok(lines) => lines.into_iter().for_each(output::remark),
            // The start of a node that ran before. Its cluster id is that of its log dirs.
            Err(error) if matches!(error.downcast_ref(), Some(FormatError::Formatted { .. })) => {}
            Err(error) => return Err(only_static_voters(error)),
        }
        let log = log_filter(&variables)?;
        Ok(Start { properties: Some(path), http: self.http.clone(), log, ..Start::default() })
    }

    /// Writes the final `server.properties`. Errors: those of the image `apache/kafka`.
    fn configure(&self, mut variables: Variables) -> anyhow::Result<PathBuf> {
        complete(&mut variables, &self.secrets_dir)?;
        let added: Vec<String> = properties_of(&variables).map(|(name, value)| format!("{name}={value}\n")).collect();
        let mounted = self.mounted_configs_dir.join(PROPERTIES);
        let mut text = match fs::read(&mounted) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| mounted.display().to_string()),
        };
        if !text.is_empty() {
            text.push(b'\n');
        }
        text.extend_from_slice(added.concat().as_bytes());
        if text.trim_ascii().is_empty() {
            text = DEFAULTS.into();
        }
        let path = self.final_configs_dir.join(PROPERTIES);
        write(&path, &text).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

/// Writes a file that only its owner may read: it may hold passwords. An older file, which others
/// may read, is replaced.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)
}

/// Adds what follows from other variables: the listeners from what is advertised, and the key
/// stores and their passwords from the files in the folder of secrets. Errors: a variable or a file
/// that TLS needs is missing; a controller that would advertise to clients.
fn complete(variables: &mut Variables, secrets: &Path) -> anyhow::Result<()> {
    const ADVERTISED: &str = "KAFKA_ADVERTISED_LISTENERS";
    let get = |variables: &Variables, name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
    let is_controller = get(variables, "KAFKA_PROCESS_ROLES").as_deref() == Some("controller");
    let Some(advertised) = get(variables, ADVERTISED) else {
        if is_controller {
            variables.remove(ADVERTISED);
        }
        return Ok(());
    };
    if is_controller {
        bail!("{ADVERTISED} is not supported on a KRaft controller.");
    }
    if get(variables, "KAFKA_LISTENERS").is_none() {
        variables.insert("KAFKA_LISTENERS".into(), on_every_interface(&advertised));
    }
    if !advertised.contains("SSL://") {
        return Ok(());
    }
    let needed = |variables: &Variables, name: &str| {
        let file = get(variables, name).with_context(|| format!("{name} environment variable not set"))?;
        let path = secrets.join(file);
        if !path.exists() {
            bail!("{} file does not exist", path.display());
        }
        Ok(path)
    };
    let password = |variables: &Variables, name: &str| {
        let path = needed(variables, name)?;
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        anyhow::Ok(text.trim_end_matches('\n').to_owned())
    };
    let asks_for_certificates =
        get(variables, "KAFKA_SSL_CLIENT_AUTH").is_some_and(|it| it.contains("required") || it.contains("requested"));
    let mut add = |store: &str, passwords: &[&str]| {
        let location = needed(variables, &format!("KAFKA_SSL_{store}_FILENAME"))?;
        variables.insert(format!("KAFKA_SSL_{store}_LOCATION"), location.display().to_string());
        for name in passwords {
            let value = password(variables, &format!("KAFKA_SSL_{name}_CREDENTIALS"))?;
            variables.insert(format!("KAFKA_SSL_{name}_PASSWORD"), value);
        }
        anyhow::Ok(())
    };
    add("KEYSTORE", &["KEY", "KEYSTORE"])?;
    if asks_for_certificates {
        add("TRUSTSTORE", &["TRUSTSTORE"])?;
    }
    Ok(())
}

/// Replaces the host of each listener by 0.0.0.0.
fn on_every_interface(advertised: &str) -> String {
    let mut all = String::new();
    let mut rest = advertised;
    while let Some((name, address)) = rest.split_once("://")
        && let Some((_host, port)) = address.split_once(':')
    {
        all.push_str(name);
        all.push_str("://0.0.0.0:");
        rest = port;
    }
    all + rest
}

/// Returns the properties that the variables name.
fn properties_of(variables: &Variables) -> impl Iterator<Item = (String, &str)> {
    variables.iter().filter_map(|(variable, value)| {
        let name = variable.strip_prefix("KAFKA_").filter(|_| !NO_PROPERTIES.contains(&variable.as_str()))?;
        let name = name.to_lowercase().replace('_', ".").replace("...", "-").replace("..", "_");
        Some((name, value.as_str()))
    })
}

/// The error of a controller without `controller.quorum.voters`, with the image's explanation.
fn only_static_voters(error: anyhow::Error) -> anyhow::Error {
    if !error.to_string().contains("controller.quorum.voters") {
        return error;
    }
    error.context(
        "To maximize compatibility, the Docker image continues to use static voters, which are supported in 3.7 and later.",
    )
}

/// Returns the filter of the log that the variables ask for. Errors: a level that is none.
fn log_filter(variables: &Variables) -> anyhow::Result<Option<String>> {
    let get = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let mut levels: Vec<(&str, &str)> = get(ROOT_LEVEL).map(|level| (ROOT, level.as_str())).into_iter().collect();
    for logger in get(LOGGERS).into_iter().flat_map(|all| all.split(',')) {
        levels.push(logger.split_once('=').with_context(|| format!("{LOGGERS}: {logger}: it takes NAME=LEVEL"))?);
    }
    if levels.is_empty() {
        return Ok(None);
    }
    let (filter, unknown) = loggers::filter_of(&levels).map_err(|error| anyhow!(error.message.unwrap_or_default()))?;
    for name in unknown {
        output::remark(format_args!("the log has no logger {name}"));
    }
    Ok(Some(filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn variables(text: &str) -> Variables {
        let pair = |line: &str| line.trim().split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        text.lines().filter_map(pair).collect()
    }

    /// Apache Kafka 4.3.1 wrote these properties for these variables.
    #[test]
    fn variables_become_the_properties_that_kafka_makes_of_them() {
        let variables = variables(
            r"KAFKA_NODE_ID=1
            KAFKA_A__B=x
            KAFKA_A___B=y\tz
            KAFKA_KAFKA_X=1
            KAFKA_FOO_KAFKA_BAR=2
            KAFKA_a_Bc=3
            KAFKA_EMPTY=
            KAFKA_HEAP_OPTS=-Xmx1g
            KAFKA_HEAP_OPT=1
            KAFKA_JMX_PORT=9
            KAFKA_A____B=4
            KAFKA_A_____B=5
            KAFKA_LOG4J_ROOT_LOGLEVEL=WARN
            XKAFKA_A=1",
        );
        let mut lines: Vec<String> = properties_of(&variables).map(|(name, value)| format!("{name}={value}")).collect();
        lines.sort_unstable();
        let expected = [
            "a-.b=4",
            "a-_b=5",
            r"a-b=y\tz",
            "a.bc=3",
            "a_b=x",
            "empty=",
            "foo.kafka.bar=2",
            "heap.opt=1",
            "jmx.port=9",
            "kafka.x=1",
            "node.id=1",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn listeners_follow_from_what_is_advertised() {
        for (advertised, listeners) in [
            ("PLAINTEXT://broker:9092", "PLAINTEXT://0.0.0.0:9092"),
            ("A://a.b:1,B://c:2", "A://0.0.0.0:1,B://0.0.0.0:2"),
            ("A://:1", "A://0.0.0.0:1"),
            ("A://a", "A://a"),
            ("", ""),
        ] {
            assert_eq!(on_every_interface(advertised), listeners, "{advertised}");
        }
        let mut chosen = variables("KAFKA_ADVERTISED_LISTENERS=A://a:1\nKAFKA_LISTENERS=A://b:2");
        complete(&mut chosen, Path::new("/")).unwrap();
        assert_eq!(chosen["KAFKA_LISTENERS"], "A://b:2");
    }

    #[test]
    fn a_controller_advertises_nothing_to_clients() {
        let mut controller = variables("KAFKA_PROCESS_ROLES=controller\nKAFKA_ADVERTISED_LISTENERS=");
        complete(&mut controller, Path::new("/")).unwrap();
        assert_eq!(controller.get("KAFKA_ADVERTISED_LISTENERS"), None);
        let mut controller = variables("KAFKA_PROCESS_ROLES=controller\nKAFKA_ADVERTISED_LISTENERS=A://a:1");
        let error = complete(&mut controller, Path::new("/")).unwrap_err().to_string();
        assert_eq!(error, "KAFKA_ADVERTISED_LISTENERS is not supported on a KRaft controller.");
    }

    #[test]
    fn key_stores_and_their_passwords_come_from_the_folder_of_secrets() {
        let secrets = tempfile::tempdir().unwrap();
        for (file, text) in [("k.jks", "x"), ("t.jks", "x"), ("k", "one\n"), ("s", "two"), ("t", "three")] {
            fs::write(secrets.path().join(file), text).unwrap();
        }
        let text = "KAFKA_ADVERTISED_LISTENERS=SSL://a:1
            KAFKA_SSL_CLIENT_AUTH=required
            KAFKA_SSL_KEYSTORE_FILENAME=k.jks
            KAFKA_SSL_KEY_CREDENTIALS=k
            KAFKA_SSL_KEYSTORE_CREDENTIALS=s
            KAFKA_SSL_TRUSTSTORE_FILENAME=t.jks
            KAFKA_SSL_TRUSTSTORE_CREDENTIALS=t";
        let mut complete_ones = variables(text);
        complete(&mut complete_ones, secrets.path()).unwrap();
        let at = |file: &str| secrets.path().join(file).display().to_string();
        assert_eq!(complete_ones["KAFKA_SSL_KEYSTORE_LOCATION"], at("k.jks"));
        assert_eq!(complete_ones["KAFKA_SSL_TRUSTSTORE_LOCATION"], at("t.jks"));
        for (name, password) in [("KEY", "one"), ("KEYSTORE", "two"), ("TRUSTSTORE", "three")] {
            assert_eq!(complete_ones[&format!("KAFKA_SSL_{name}_PASSWORD")], password);
        }
        for line in text.lines().skip(2) {
            let name = line.trim().split_once('=').unwrap().0;
            let mut without = variables(&text.replace(line, ""));
            let error = complete(&mut without, secrets.path()).unwrap_err().to_string();
            assert_eq!(error, format!("{name} environment variable not set"));
            let mut wrong = variables(&text.replace(line, &format!("{name}=none")));
            let error = complete(&mut wrong, secrets.path()).unwrap_err().to_string();
            assert_eq!(error, format!("{} file does not exist", at("none")));
        }
    }

    /// A container with folders of its own.
    fn container(home: &Path) -> Container {
        let folder = |name: &str| {
            let path = home.join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (mounted_configs_dir, final_configs_dir) = (folder("mounted"), folder("final"));
        Container {
            mounted_configs_dir,
            final_configs_dir,
            secrets_dir: folder("secrets"),
            http: None,
            variables: Vec::new(),
        }
    }

    #[test]
    fn variables_override_a_mounted_file_and_defaults_are_for_neither() {
        let home = tempfile::tempdir().unwrap();
        let container = container(home.path());
        let written = |variables| fs::read_to_string(container.configure(variables).unwrap()).unwrap();
        assert_eq!(written(Variables::new()), DEFAULTS);
        assert_eq!(written(variables("KAFKA_NODE_ID=7")), "node.id=7\n");
        fs::write(container.mounted_configs_dir.join(PROPERTIES), "node.id=5\nx=1").unwrap();
        assert_eq!(written(Variables::new()), "node.id=5\nx=1\n");
        let path = container.final_configs_dir.join(PROPERTIES);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(written(variables("KAFKA_NODE_ID=7")), "node.id=5\nx=1\nnode.id=7\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn log_dirs_are_formatted_once_with_the_given_cluster_id() {
        let home = tempfile::tempdir().unwrap();
        let container = container(home.path());
        let logs = home.path().join("logs");
        let own = format!(
            "KAFKA_PROCESS_ROLES=broker,controller
            KAFKA_NODE_ID=3
            KAFKA_CONTROLLER_QUORUM_VOTERS=3@localhost:9093
            KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER
            KAFKA_LISTENERS=PLAINTEXT://:9092,CONTROLLER://:9093
            KAFKA_LOG4J_ROOT_LOGLEVEL=WARN
            KAFKA_LOG4J_LOGGERS=kafka.controller=DEBUG,no.such=INFO
            KAFKA_LOG_DIRS={}",
            logs.display()
        );
        let meta = || fs::read_to_string(logs.join("meta.properties")).unwrap();
        let start = container.start(variables(&own)).unwrap();
        assert!(meta().contains(&format!("cluster.id={CLUSTER_ID}")), "{}", meta());
        assert_eq!(start.log.as_deref(), Some("warn,gregor::runtime::controller=debug"));
        // The second start formats nothing.
        let first = meta();
        container.start(variables(&format!("{own}\nCLUSTER_ID=AAAAAAAAAAAAAAAAAAAAAQ"))).unwrap();
        assert_eq!(meta(), first);
        // Dynamic voters need a decision that no variable makes.
        let dynamic = own.replace("KAFKA_CONTROLLER_QUORUM_VOTERS=3@", "KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS=");
        fs::remove_dir_all(&logs).unwrap();
        let error = container.start(variables(&dynamic)).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("To maximize compatibility"), "{error}");
        assert!(!logs.exists());
    }

    #[test]
    fn its_folders_are_those_of_the_image() {
        let arguments = crate::cli::Arguments::try_parse_from(["gregor", "container", "KAFKA_NODE_ID=1"]).unwrap();
        let Some(crate::cli::Command::Container(container)) = arguments.command else { panic!("not a container") };
        assert_eq!(container.mounted_configs_dir, Path::new("/mnt/shared/config"));
        assert_eq!(container.final_configs_dir, Path::new("/opt/kafka/config"));
        assert_eq!(container.secrets_dir, Path::new("/etc/kafka/secrets"));
        assert_eq!(container.variables, ["KAFKA_NODE_ID=1"]);
    }
}
