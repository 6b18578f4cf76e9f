//! `config.providers`: values that a properties file takes from other files or the environment
//! (KIP-297, KIP-421).
//!
//! `${provider:path:key}` and `${provider:key}` anywhere in a value are replaced if the provider
//! has the key; otherwise they stay. The replacement itself is not searched for references.

use super::{ConfigError, Properties, file, properties};
use regex_lite::Regex;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

const PREFIX: &str = "config.providers";
const PACKAGE: &str = "org.apache.kafka.common.config.provider.";

enum Provider {
    /// Keys of a properties file.
    File { allowed: Option<Vec<PathBuf>> },
    /// Files of a folder, by file name.
    Directory { allowed: Option<Vec<PathBuf>> },
    /// Environment variables.
    Environment { allowed: Option<Regex> },
}

/// Replaces references to providers. The second result has the references that were not replaced.
/// `environment` reads a variable. Errors: a provider with an invalid setup, or a file that cannot
/// be read.
pub(super) fn resolve(
    properties: &Properties,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Properties, Vec<String>), ConfigError> {
    let providers = providers(properties)?;
    let mut unresolved = Vec::new();
    let mut resolved = Properties::new();
    for (name, value) in properties {
        let is_of_a_provider = name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('.'));
        let value = if is_of_a_provider || providers.is_empty() {
            value.clone()
        } else {
            replace(name, value, &providers, environment, &mut unresolved)?
        };
        resolved.insert(name.clone(), value);
    }
    Ok((resolved, unresolved))
}

fn providers(properties: &Properties) -> Result<BTreeMap<String, Provider>, ConfigError> {
    let mut providers = BTreeMap::new();
    let names = properties.get(PREFIX).map_or("", |names| names.as_str());
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let class_property = format!("{PREFIX}.{name}.class");
        let Some(class) = properties.get(&class_property).map(|class| class.trim()) else { continue };
        let parameter = |parameter: &str| properties.get(&format!("{PREFIX}.{name}.param.{parameter}"));
        let provider = match class.strip_prefix(PACKAGE) {
            Some("FileConfigProvider") => Provider::File { allowed: allowed_paths(parameter("allowed.paths"))? },
            Some("DirectoryConfigProvider") => {
                Provider::Directory { allowed: allowed_paths(parameter("allowed.paths"))? }
            }
            Some("EnvVarConfigProvider") => {
                Provider::Environment { allowed: allowed_names(name, parameter("allowlist.pattern"))? }
            }
            _ => {
                return Err(ConfigError(format!(
                    "{class_property}: {class} is not one of FileConfigProvider, DirectoryConfigProvider and EnvVarConfigProvider of {PACKAGE}*"
                )));
            }
        };
        providers.insert(name.to_string(), provider);
    }
    Ok(providers)
}

fn allowed_paths(paths: Option<&String>) -> Result<Option<Vec<PathBuf>>, ConfigError> {
    let Some(paths) = paths.filter(|paths| !paths.is_empty()) else { return Ok(None) };
    let path = |path: &str| {
        let fault = |fault| Err(ConfigError(format!("allowed.paths: Path {path} {fault}")));
        match Path::new(path) {
            relative if !relative.is_absolute() => fault("is not absolute"),
            missing if !file::exists(missing) => fault("does not exist"),
            path => Ok(normal(path)),
        }
    };
    paths.split(',').map(path).collect::<Result<_, _>>().map(Some)
}

fn allowed_names(provider: &str, pattern: Option<&String>) -> Result<Option<Regex>, ConfigError> {
    let Some(pattern) = pattern else { return Ok(None) };
    let fault = |error| {
        ConfigError(format!(
            "{PREFIX}.{provider}.param.allowlist.pattern: {pattern} is not a regular expression: {error}"
        ))
    };
    Regex::new(&format!("^(?:{pattern})$")).map(Some).map_err(fault)
}

/// Removes `.` and `..` from a path, without a look at the disk.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

fn is_allowed(path: &Path, allowed: Option<&Vec<PathBuf>>) -> bool {
    allowed.is_none_or(|allowed| path.is_absolute() && allowed.iter().any(|allowed| normal(path).starts_with(allowed)))
}

/// Finds a reference `${provider:path:key}`. Returns the parts between the braces, and the length
/// of the reference.
fn reference(text: &str) -> Option<(&str, &str, &str, usize)> {
    let inner = &text.strip_prefix("${")?;
    let inner = &inner[..inner.find('}')?];
    let (provider, rest) = inner.split_once(':')?;
    let (path, key) = rest.split_once(':').unwrap_or(("", rest));
    Some((provider, path, key, inner.len() + 3))
}

fn replace(
    property: &str,
    value: &str,
    providers: &BTreeMap<String, Provider>,
    environment: &dyn Fn(&str) -> Option<String>,
    unresolved: &mut Vec<String>,
) -> Result<String, ConfigError> {
    let mut replaced = String::new();
    let mut rest = value;
    while let Some(start) = rest.find("${") {
        replaced.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some((provider, path, key, len)) = reference(rest) else {
            replaced.push_str("${");
            rest = &rest[2..];
            continue;
        };
        let given = match providers.get(provider) {
            Some(provider) => provider
                .get(path, key, environment)
                .map_err(|ConfigError(fault)| ConfigError(format!("{property}: {fault}")))?,
            None => None,
        };
        if given.is_none() {
            unresolved.push(format!("{property}: {} was not resolved by a config provider", &rest[..len]));
        }
        replaced.push_str(given.as_deref().unwrap_or(&rest[..len]));
        rest = &rest[len..];
    }
    replaced.push_str(rest);
    Ok(replaced)
}

impl Provider {
    fn get(
        &self,
        path: &str,
        key: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, ConfigError> {
        match self {
            Provider::File { .. } | Provider::Directory { .. } if path.is_empty() => Ok(None),
            Provider::File { allowed } => {
                let path = Path::new(path);
                if !is_allowed(path, allowed.as_ref()) {
                    return Ok(None);
                }
                let text = file::utf8(path).map_err(|error| {
                    ConfigError(format!("Could not read properties from file {}: {error}", path.display()))
                })?;
                Ok(properties::parse(&text)?.remove(key))
            }
            Provider::Directory { allowed } => {
                let is_name = Path::new(key).components().count() == 1 && !key.contains('/') && key != "..";
                let path = Path::new(path).join(key);
                if !is_name || !is_allowed(&path, allowed.as_ref()) || !file::is_file(&path) {
                    return Ok(None);
                }
                file::utf8(&path)
                    .map(Some)
                    .map_err(|error| ConfigError(format!("Could not read file {}: {error}", path.display())))
            }
            Provider::Environment { .. } if !path.is_empty() => {
                Err(ConfigError(format!("Path is not supported for EnvVarConfigProvider, invalid value '{path}'")))
            }
            Provider::Environment { allowed } => {
                let is_allowed = allowed.as_ref().is_none_or(|allowed| allowed.is_match(key));
                Ok(if is_allowed { environment(key) } else { None })
            }
        }
    }
}
