//! Circles between modules. What two rooms need of each other moves below both.
//!
//! The graph is drawn among siblings, at every level of every crate: a module stands for its file
//! and all that lies below it, and names a sibling where any of its files names anything of the
//! sibling's. A parent and its children are one unit, a module that is split over files, so that
//! what they name of each other does not count. A name that a parent hands on (`pub use
//! child::Name`) is the child's. Tests do not count.

use std::collections::{BTreeMap, BTreeSet};

/// A module, by the names from the crate's root on.
type Module = Vec<String>;

/// Which sibling names which, with the first line that does.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Default)]
struct Crate {
    files: BTreeMap<Module, (String, String)>,
    /// What names in a module stand for: as the `use` lines say.
    names: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
}

/// The circles in all crates, of files with their texts.
pub(super) fn find(files: &[(String, String)]) -> Vec<String> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    for (path, text) in files {
        if let Some((root, module)) = module_of(path) {
            crates.entry(root).or_default().files.insert(module, (path.clone(), code_of(text)));
        }
    }
    let mut findings = Vec::new();
    for one in crates.values_mut() {
        one.read_names();
        for (parent, graph) in one.graphs() {
            findings.extend(circles(&graph).into_iter().map(|circle| describe(&parent, &graph, &circle)));
        }
    }
    findings
}

/// The crate of a file, and the module that it is; `None` of tests, tools and programs.
fn module_of(path: &str) -> Option<(String, Module)> {
    let (root, inner) = match path.strip_prefix("src/") {
        Some(inner) => ("src", inner),
        None if path.starts_with("crates/") => path.split_once("/src/")?,
        None => return None,
    };
    let inner = inner.strip_suffix(".rs")?;
    let mut module: Module = inner.split('/').map(str::to_string).collect();
    if module.iter().any(|name| name == "tests" || name == "bin") || inner == "main" {
        return None;
    }
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    Some((root.to_string(), module))
}

/// A file's code without comments and without what is compiled for tests alone, line by line.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut for_tests = false;
    for line in text.lines() {
        if for_tests && line.trim_start().starts_with("mod ") && line.ends_with('{') {
            break;
        }
        let is_skipped = for_tests && !line.trim_start().starts_with("#[");
        for_tests = line.trim() == "#[cfg(test)]";
        if !is_skipped && !for_tests {
            code.push_str(line.split("//").next().unwrap_or_default());
        }
        code.push('\n');
    }
    code
}

/// Every path that code names, with its line: those of `use` lines whole, and others as far as they
/// are names.
fn paths(code: &str) -> Vec<(usize, bool, Vec<String>)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in code.lines().enumerate() {
        let trimmed = line.trim_start();
        let is_use = trimmed.starts_with("use ") || (trimmed.starts_with("pub") && trimmed.contains(" use "));
        match &mut open {
            Some((_, text)) => text.push_str(trimmed),
            None if is_use => {
                let tree = trimmed.split_once("use ").map_or("", |(_, tree)| tree);
                open = Some((number, tree.to_string()));
            }
            None => found.extend(inline(line).into_iter().map(|path| (number, false, path))),
        }
        if let Some((number, text)) = open.take_if(|(_, text)| text.contains(';')) {
            let tree = text.split(';').next().unwrap_or_default();
            expand(tree, &mut Vec::new(), &mut |path| found.push((number, true, path)));
        }
    }
    found
}

/// The paths from the crate's root or a parent on in a line of code.
fn inline(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = [rest.find("crate::"), rest.find("super::")].into_iter().flatten().min() {
        let end =
            rest[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').map_or(rest.len(), |it| at + it);
        if !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            found.push(rest[at..end].split("::").filter(|name| !name.is_empty()).map(str::to_string).collect());
        }
        rest = &rest[end..];
    }
    found
}

/// The paths of a tree of a `use` line; one that is renamed ends with `as` and its new name.
fn expand(tree: &str, before: &mut Vec<String>, found: &mut impl FnMut(Vec<String>)) {
    let (tree, depth) = (tree.trim(), before.len());
    match tree.split_once('{') {
        Some((head, body)) => {
            before.extend(head.split("::").filter(|name| !name.trim().is_empty()).map(|name| name.trim().to_string()));
            let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
            let (mut level, mut start) = (0, 0);
            for (at, c) in body.char_indices() {
                match c {
                    '{' => level += 1,
                    '}' => level -= 1,
                    ',' if level == 0 => {
                        expand(&body[start..at], before, found);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
            expand(&body[start..], before, found);
        }
        None if !tree.is_empty() => {
            let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim())));
            before.extend(path.split("::").map(|name| name.trim().to_string()).filter(|name| !name.is_empty()));
            let mut path = before.clone();
            path.extend(name.into_iter().flat_map(|name| ["as".to_string(), name.to_string()]));
            found(path);
        }
        None => {}
    }
    before.truncate(depth);
}

impl Crate {
    fn read_names(&mut self) {
        for (module, (_, code)) in &self.files {
            let mut names = BTreeMap::new();
            for (_, is_use, mut path) in paths(code) {
                let name = path.last().cloned().unwrap_or_default();
                if path.len() > 2 && path[path.len() - 2] == "as" {
                    path.truncate(path.len() - 2);
                }
                if path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                if is_use && name != "*" {
                    names.insert(if name == "self" { path.last().cloned().unwrap_or_default() } else { name }, path);
                }
            }
            self.names.insert(module.clone(), names);
        }
    }

    /// The module that a path leads to from another one; `None` where it leads out of the crate.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<Module> {
        let mut at: Module = match path.first().map(String::as_str)? {
            "crate" => Vec::new(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            "self" => from.to_vec(),
            first => {
                let child = [from, &[first.to_string()]].concat();
                self.files.contains_key(&child).then_some(child)?
            }
        };
        for name in &path[1..] {
            if name == "super" {
                at.pop();
                continue;
            }
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                at = child;
                continue;
            }
            let handed_on = self.names.get(&at).and_then(|names| names.get(name)).filter(|_| depth > 0);
            return Some(handed_on.and_then(|path| self.resolve(&at, path, depth - 1)).unwrap_or(at));
        }
        Some(at)
    }

    /// Who names whom among the children of each module.
    fn graphs(&self) -> BTreeMap<Module, Graph> {
        let mut graphs: BTreeMap<Module, Graph> = BTreeMap::new();
        for (module, (file, code)) in &self.files {
            for (number, _, path) in paths(code) {
                let Some(target) = self.resolve(module, &path, 8) else { continue };
                let common = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
                if let (Some(one), Some(other)) = (module.get(common), target.get(common)) {
                    let graph = graphs.entry(module[..common].to_vec()).or_default();
                    let at = format!("{file}:{}", number + 1);
                    graph.entry(one.clone()).or_default().entry(other.clone()).or_insert(at);
                }
            }
        }
        graphs
    }
}

/// A shortest circle through each module that is in one, each circle once.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut covered = BTreeSet::new();
    for start in graph.keys() {
        if covered.contains(start) {
            continue;
        }
        let mut before: BTreeMap<&String, &String> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for next in graph.get(at).into_iter().flat_map(BTreeMap::keys) {
                if !before.contains_key(next) {
                    before.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
        let Some(mut at) = before.get(start).copied() else { continue };
        let mut circle = vec![start.clone()];
        while at != start {
            circle.push(at.clone());
            at = before[at];
        }
        circle[1..].reverse();
        covered.extend(circle.iter().cloned());
        found.push(circle);
    }
    found
}

fn describe(parent: &[String], graph: &Graph, circle: &[String]) -> String {
    let steps = circle.iter().zip(circle.iter().cycle().skip(1));
    let steps: Vec<String> = steps.map(|(one, other)| format!("{one} names {other} ({})", graph[one][other])).collect();
    let place = if parent.is_empty() { "a crate".to_string() } else { parent.join("::") };
    format!("a circle of modules in {place}: {}; what they need of each other moves below both", steps.join(", "))
}
