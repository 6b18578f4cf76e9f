//! Tests of property files as Java reads and writes them, and of values from config providers.

use super::{node, properties};
use crate::config::{NodeConfig, Properties, parse_properties, write_properties};
use std::fs;
use std::path::PathBuf;

/// Each line of the recording is what Java read from `tricky.properties`.
#[test]
fn a_file_is_read_as_java_reads_it() {
    let text: String = include_bytes!("testdata/tricky.properties").iter().map(|byte| char::from(*byte)).collect();
    let read = parse_properties(&text).expect("it is valid");
    let expected = properties([
        ("", "novalue"),
        ("a", "1"),
        ("after", "6"),
        ("b", "2"),
        ("blank", ""),
        ("c", "3"),
        ("comment#notcomment", "5"),
        ("crlf", "2"),
        ("d", "4  "),
        ("dup", "2"),
        ("e", ""),
        ("eof", ""),
        ("f", ""),
        ("ff", "4"),
        ("g", "onetwothree"),
        ("h", "x\\"),
        ("i j", "k:l=m"),
        ("k#1", "v#x"),
        ("lat\u{e9}", "\u{e9}"),
        ("lf", "3"),
        ("n=o", "p"),
        ("nextline", "7"),
        ("q", "A\u{e9}\t\n\r\u{c}z\""),
        ("r", "=s"),
        ("t", "=u"),
        ("utf", "\u{c3}\u{a9}"),
        ("v", "w"),
        ("x", "y"),
        ("z", "endcr=1"),
    ]);
    assert_eq!(read, expected);
}

#[test]
fn a_broken_escape_is_an_error_that_names_the_key() {
    for text in ["a=\\u12", "a=\\uzzzz", "a=\\u00e", "a=\\u"] {
        let error = parse_properties(text).expect_err(text).to_string();
        assert!(error.starts_with("a: malformed"), "{error}");
    }
}

#[test]
fn surrogates_become_one_character() {
    assert_eq!(parse_properties("a=\\uD83D\\uDE00"), Ok(properties([("a", "\u{1f600}")])));
    assert_eq!(parse_properties("a=\\uD83D"), Ok(properties([("a", "\u{fffd}")])));
}

#[test]
fn properties_are_written_as_java_writes_them() {
    let pairs = [
        ("a b", "  lead"),
        ("t\t", "n\nr\rf\u{c}\\"),
        ("plain", "/a/b c"),
        ("#k", "!v#"),
        ("c:d=e", "x=y:z"),
        ("u\u{e9}", "\u{20ac}\u{1f600}"),
    ];
    let text = write_properties(pairs);
    let expected = "a\\ b=\\  lead\nt\\t=n\\nr\\rf\\f\\\\\nplain=/a/b c\n\\#k=!v#\nc\\:d\\=e=x=y:z\nu\\u00e9=\\u20ac\\ud83d\\ude00\n";
    assert_eq!(text, expected);
    assert_eq!(parse_properties(&text), Ok(properties(pairs)));
}

/// A folder of this test, with secrets in it.
struct Secrets(PathBuf);

impl Secrets {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gregor-config-{}-{name}", std::process::id()));
        for folder in [folder.join("dir/sub"), folder.join("other")] {
            fs::create_dir_all(folder).expect("a folder");
        }
        fs::write(folder.join("f.properties"), "password=hun\\u0074er2\nempty=\nspaced = a b \n").expect("a file");
        fs::write(folder.join("dir/k1"), "secretvalue\n").expect("a file");
        fs::write(folder.join("outside"), "never").expect("a file");
        Secrets(folder)
    }

    fn start(&self, changes: &[(&str, &str)]) -> Result<NodeConfig, String> {
        let package = "org.apache.kafka.common.config.provider";
        let mut properties = super::recorded_node();
        for (name, class) in [("file", "File"), ("dir", "Directory"), ("env", "EnvVar")] {
            properties.insert(format!("config.providers.{name}.class"), format!("{package}.{class}ConfigProvider"));
        }
        properties.insert("config.providers".into(), "file, dir,env".into());
        for (name, value) in changes {
            properties.insert((*name).into(), value.replace("{}", &self.0.display().to_string()));
        }
        let environment = |name: &str| match name {
            "PROBE_X" => Some("envval".to_string()),
            "PROBE_Y" => Some("${env:PROBE_X}".to_string()),
            "PROBE_Z" => Some("1".to_string()),
            _ => None,
        };
        NodeConfig::from_properties(&properties, &environment).map_err(|error| error.to_string())
    }

    fn rack(&self, changes: &[(&str, &str)]) -> String {
        let node = self.start(changes).expect("it starts");
        node.properties["broker.rack"].clone()
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn config_providers_resolve_secrets_in_a_properties_file() {
    let secrets = Secrets::new("file-on-disk");
    let package = "org.apache.kafka.common.config.provider";
    let mut properties = super::recorded_node();
    let folder = secrets.0.display();
    for (name, value) in [
        ("config.providers", "file,directory,env".to_string()),
        ("config.providers.file.class", format!("{package}.FileConfigProvider")),
        ("config.providers.directory.class", format!("{package}.DirectoryConfigProvider")),
        ("config.providers.env.class", format!("{package}.EnvVarConfigProvider")),
        ("ssl.key.password", format!("${{file:{folder}/f.properties:password}}")),
        ("ssl.keystore.password", format!("${{directory:{folder}/dir:k1}}")),
        // A variable that every process has.
        ("ssl.truststore.password", "${env:PATH}".into()),
    ] {
        properties.insert(name.into(), value);
    }
    let path = secrets.0.join("server.properties");
    let pairs = properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fs::write(&path, write_properties(pairs)).expect("a file");
    let node = NodeConfig::read(&path, &[]).expect("it starts");
    assert_eq!(node.properties["ssl.key.password"], "hunter2");
    assert_eq!(node.properties["ssl.keystore.password"], "secretvalue\n");
    assert_eq!(node.properties["ssl.truststore.password"], std::env::var("PATH").expect("a path"));
    assert!(node.warnings.iter().all(|warning| !warning.contains("not resolved")), "{:?}", node.warnings);
}

#[test]
fn references_are_replaced_as_kafka_replaces_them() {
    let secrets = Secrets::new("references");
    for (value, expected) in [
        ("${file:{}/f.properties:password}", "hunter2"),
        ("a${file:{}/f.properties:password}b${file:{}/f.properties:spaced}c", "ahunter2ba b c"),
        ("${file:{}/f.properties:empty}", ""),
        ("${dir:{}/dir:k1}", "secretvalue\n"),
        ("${env:PROBE_X}", "envval"),
        ("${env::PROBE_X}", "envval"),
        ("${env:PROBE_Y}", "${env:PROBE_X}"),
        ("$${env:PROBE_X}", "$envval"),
        ("\n${env:PROBE_X}", "\nenvval"),
        ("${x}${env:PROBE_X}", "${x}envval"),
    ] {
        assert_eq!(secrets.rack(&[("broker.rack", value)]), expected, "{value}");
    }
    for value in [
        "${file:{}/f.properties:nope}",
        "${nope:/nope:x}",
        "${file:x}",
        "${file::password}",
        "${dir:{}/dir:sub}",
        "${dir:{}/dir:../outside}",
        "${dir:{}/nope:k1}",
        "${dir:{}/f.properties:k1}",
        "${env:NOPE_X}",
        "${file:{}/f.properties:pass:word}",
        "${file:{}/f.properties:password",
        "${a:b:c:d}",
    ] {
        let as_it_is = value.replace("{}", &secrets.0.display().to_string());
        assert_eq!(secrets.rack(&[("broker.rack", value)]), as_it_is);
    }
    let node = secrets.start(&[("broker.rack", "${env:NOPE_X}")]).expect("it starts");
    assert!(
        node.warnings
            .iter()
            .any(|warning| warning == "broker.rack: ${env:NOPE_X} was not resolved by a config provider")
    );
}

#[test]
fn providers_give_only_what_they_are_allowed_to() {
    let secrets = Secrets::new("allowed");
    let reference = ("broker.rack", "${file:{}/f.properties:password}");
    let allowed = "config.providers.file.param.allowed.paths";
    assert_eq!(secrets.rack(&[reference, (allowed, "{}/other,{}")]), "hunter2");
    assert!(secrets.rack(&[reference, (allowed, "{}/other")]).starts_with("${"));
    let around = ("broker.rack", "${file:{}/other/../f.properties:password}");
    assert!(secrets.rack(&[around, (allowed, "{}/other")]).starts_with("${"));
    let folder = [("broker.rack", "${dir:{}/dir:k1}"), ("config.providers.dir.param.allowed.paths", "{}/other")];
    assert!(secrets.rack(&folder).starts_with("${"));
    let pattern = "config.providers.env.param.allowlist.pattern";
    let variable = ("broker.rack", "${env:PROBE_X}");
    assert_eq!(secrets.rack(&[variable, (pattern, "PROBE.*")]), "envval");
    assert!(secrets.rack(&[variable, (pattern, "PROB")]).starts_with("${"));
}

#[test]
fn providers_that_are_set_up_wrongly_stop_the_start() {
    let secrets = Secrets::new("wrong");
    for (name, value, expected) in [
        ("broker.rack", "${file:/nope:x}", "broker.rack: Could not read properties from file /nope"),
        (
            "broker.rack",
            "${env:some/path:PROBE_X}",
            "Path is not supported for EnvVarConfigProvider, invalid value 'some/path'",
        ),
        ("config.providers.file.param.allowed.paths", "/nope/no", "Path /nope/no does not exist"),
        ("config.providers.file.param.allowed.paths", "relative", "Path relative is not absolute"),
        ("config.providers.file.class", "foo.Bar", "config.providers.file.class: foo.Bar is not one of"),
        ("config.providers.env.param.allowlist.pattern", "[", "config.providers.env.param.allowlist.pattern: ["),
    ] {
        let error = secrets.start(&[(name, value)]).expect_err(value);
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn an_override_wins_over_the_file() {
    let secrets = Secrets::new("override");
    let path = secrets.0.join("server.properties");
    let file = super::recorded_node();
    let pairs = file.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fs::write(&path, write_properties(pairs)).expect("a file");
    let read =
        |overrides: &[&str]| NodeConfig::read(&path, &overrides.iter().map(ToString::to_string).collect::<Vec<_>>());
    let read_node = read(&["num.partitions=7"]).expect("it starts");
    assert_eq!((read_node.settings.num_partitions, node(&file).settings.num_partitions), (7, 1));
    assert_eq!(read_node.properties.len(), file.len() + 2, "the override and broker.id");
    let error = read(&["num.partitions"]).expect_err("no value").to_string();
    assert_eq!(error, "--override num.partitions: it takes NAME=VALUE");
    let error = NodeConfig::read(&secrets.0.join("none"), &[]).expect_err("no file").to_string();
    assert!(error.contains("none: "), "{error}");
    let _: Properties = read_node.properties;
}
