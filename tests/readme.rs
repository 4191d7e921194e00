//! The C and C++ examples of the README compile without changes, with all warnings.

use std::io::Write;
use std::process::{Command, Stdio};

fn block(language: &str) -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once(&format!("```{language}\n")).expect("the README has an example in it");
    rest.split_once("```").expect("which ends").0.to_owned()
}

fn compile(compiler: &str, arguments: &[&str], source: &str) {
    let mut child = Command::new(compiler)
        .args(arguments)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I../include", "-fsyntax-only", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{compiler}: {e}"));
    child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{compiler} refuses:\n{source}");
}

#[test]
fn the_c_example_compiles() {
    let source = format!("#include <shmetrics.h>\nint main(void) {{\n{}return 0;\n}}\n", block("c"));
    compile("cc", &["-std=c11", "-x", "c"], &source);
}

#[test]
fn the_cpp_example_compiles() {
    let source = format!("#include <shmetrics.hpp>\nint main() {{\n{}}}\n", block("cpp"));
    compile("c++", &["-std=c++17", "-x", "c++"], &source);
}
