//! JAAS text, read as Kafka reads it: a property `sasl.jaas.config` with one login module, and the
//! file that `java.security.auth.login.config` names, with one section for each listener.

use crate::Secret;
use crate::tokens::{Token, Tokens};
use std::collections::BTreeMap;

/// A login module with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginModule {
    /// Its class.
    pub class: String,
    /// Its options. Any of them may be a secret.
    pub options: BTreeMap<String, Secret>,
}

impl LoginModule {
    /// Returns an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(Secret::expose)
    }
}

/// The sections of a JAAS file, by name.
pub type Sections = BTreeMap<String, Vec<LoginModule>>;

/// Reads the value of a property `sasl.jaas.config`, which has exactly one login module. Errors:
/// Kafka's message.
pub fn property(text: &str) -> Result<LoginModule, String> {
    let mut tokens = Tokens::new(text);
    let mut modules = Vec::new();
    while let Some(class) = tokens.next() {
        modules.push(module(&mut tokens, class)?);
    }
    match <[LoginModule; 1]>::try_from(modules) {
        Ok([module]) => Ok(module),
        Err(modules) if modules.is_empty() => Err("Login module not specified in JAAS config".into()),
        Err(modules) => {
            Err(format!("JAAS config property contains {} login modules, should be 1 module", modules.len()))
        }
    }
}

fn module(tokens: &mut Tokens<'_>, class: Token) -> Result<LoginModule, String> {
    let flag = tokens.next().ok_or("Login module control flag not specified in JAAS config")?;
    check_flag(&flag)?;
    let mut options = BTreeMap::new();
    loop {
        let name = match tokens.next() {
            None => return Err("JAAS config entry not terminated by semi-colon".into()),
            Some(Token::Other(';')) => break,
            Some(name) => text(name).unwrap_or_else(|| "null".into()),
        };
        let is_given = tokens.next() == Some(Token::Other('='));
        let value = if is_given { tokens.next().and_then(text) } else { None };
        let Some(value) = value else { return Err(format!("Value not specified for key '{name}' in JAAS config")) };
        options.insert(name, Secret::new(value));
    }
    Ok(LoginModule { class: text(class).unwrap_or_else(|| "null".into()), options })
}

fn text(token: Token) -> Option<String> {
    match token {
        Token::Text(text) => Some(text),
        Token::Number | Token::Other(_) => None,
    }
}

fn check_flag(flag: &Token) -> Result<(), String> {
    let Token::Text(flag) = flag else {
        return Err("Login module control flag is not available in the JAAS config".into());
    };
    let known = ["required", "requisite", "sufficient", "optional"];
    if known.iter().any(|known| known.eq_ignore_ascii_case(flag)) {
        return Ok(());
    }
    Err(format!("Invalid login module control flag '{flag}' in JAAS config"))
}

/// Reads a JAAS file: sections `NAME { module flag option=value ...; ... };`. Errors: one line with
/// the number of the line at fault.
pub fn file(text: &str) -> Result<Sections, String> {
    let mut tokens = Tokens::new(text);
    let mut sections = Sections::new();
    loop {
        let name = match tokens.next() {
            None => return Ok(sections),
            Some(Token::Text(name)) => name,
            Some(_) => return Err(expected(&tokens, "the name of a section")),
        };
        require(&mut tokens, '{')?;
        let mut modules = Vec::new();
        loop {
            match tokens.next() {
                Some(Token::Other('}')) => break,
                Some(class @ Token::Text(_)) => {
                    let line = tokens.line();
                    modules.push(module(&mut tokens, class).map_err(|why| format!("line {line}: {why}"))?);
                }
                _ => return Err(expected(&tokens, "a login module or }")),
            }
        }
        require(&mut tokens, ';')?;
        if let Some(option) = modules.iter().find_map(of_java) {
            return Err(format!(
                "section {name}: option {option} names a system property of Java, which is not known here"
            ));
        }
        if sections.contains_key(&name) {
            return Err(format!("section {name} stands there twice"));
        }
        sections.insert(name, modules);
    }
}

/// Returns the option of a module that the JDK would expand.
fn of_java(module: &LoginModule) -> Option<&str> {
    let mut options = module.options.iter();
    options.find(|(_, value)| value.expose().contains("${")).map(|(name, _)| name.as_str())
}

fn require(tokens: &mut Tokens<'_>, wanted: char) -> Result<(), String> {
    if tokens.next() == Some(Token::Other(wanted)) { Ok(()) } else { Err(expected(tokens, &wanted.to_string())) }
}

fn expected(tokens: &Tokens<'_>, what: &str) -> String {
    format!("line {}: expected {what}", tokens.line())
}

/// Returns the file that `-Djava.security.auth.login.config=FILE` names in the options of Java. The
/// last one counts.
pub fn file_of_options(options: &str) -> Option<&str> {
    let mut named =
        options.split_whitespace().filter_map(|word| word.strip_prefix("-Djava.security.auth.login.config="));
    // Two equals signs say that the file replaces all others; there are no others.
    named.next_back().map(|file| file.strip_prefix('=').unwrap_or(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_by_kafka() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule";
        for (text, expected) in [
            (r#"P required username="a" password="b c";"#, "P|password=b c|username=a"),
            ("P REQUIRED\n  user_alice='x\"y'\t user_bob=\"\\\"q\\\\\\101\" ;", "P|user_alice=x\"y|user_bob=\"q\\A"),
            ("P required a=b; // the end", "P|a=b"),
            ("P /* two */ required /a comment\n a-b_c$d=e.f;", "P|a-b_c$d=e.f"),
            ("P required;", "P"),
            ("P required a=b", "!JAAS config entry not terminated by semi-colon"),
            ("", "!Login module not specified in JAAS config"),
            ("P", "!Login module control flag not specified in JAAS config"),
            ("P ;", "!Login module control flag is not available in the JAAS config"),
            ("P must;", "!Invalid login module control flag 'must' in JAAS config"),
            ("P required a;", "!Value not specified for key 'a' in JAAS config"),
            ("P required a=;", "!Value not specified for key 'a' in JAAS config"),
            ("P required a=5;", "!Value not specified for key 'a' in JAAS config"),
            ("P required a=-5.5;", "!Value not specified for key 'a' in JAAS config"),
            ("P required a=;b=c;", "!Value not specified for key 'a' in JAAS config"),
            ("P required; Q required;", "!JAAS config property contains 2 login modules, should be 1 module"),
        ] {
            let read = match property(text) {
                Err(why) => format!("!{why}"),
                Ok(module) => {
                    let options = module.options.iter().map(|(name, value)| format!("|{name}={}", value.expose()));
                    module.class + &options.collect::<String>()
                }
            };
            assert_eq!(read, expected, "{text}");
        }
        let module = property(&format!("{plain} required user_a=\"planted-secret\";")).unwrap();
        assert_eq!(module.class, plain);
        assert!(!format!("{module:?}").contains("planted"));
    }

    #[test]
    fn files_have_sections() {
        let text = "KafkaServer {\n  P required\n  user_a=\"x\";\n  S required;\n};\n/* */ internal.KafkaServer { P optional; };";
        let read = file(text).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["KafkaServer", "internal.KafkaServer"]);
        assert_eq!(read["KafkaServer"].len(), 2);
        assert_eq!(read["KafkaServer"][0].option("user_a"), Some("x"));
        for (text, expected) in [
            ("KafkaServer", "line 1: expected {"),
            ("KafkaServer {\n P required;\n", "line 3: expected a login module or }"),
            ("KafkaServer { P required; }", "line 1: expected ;"),
            ("KafkaServer {\n P needed; };", "line 2: Invalid login module control flag 'needed' in JAAS config"),
            ("A { }; A { };", "section A stands there twice"),
            (
                "A { P required a=\"${user.home}\"; };",
                "section A: option a names a system property of Java, which is not known here",
            ),
        ] {
            assert_eq!(file(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_file_is_named_in_kafka_opts() {
        let named = file_of_options("-Xmx1g -Djava.security.auth.login.config=/etc/jaas.conf -Dx=y");
        assert_eq!(named, Some("/etc/jaas.conf"));
        assert_eq!(file_of_options("-Djava.security.auth.login.config==/a"), Some("/a"));
        assert_eq!(file_of_options("-Dx=y"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = (property(&text), file(&text));
        }
    }
}
