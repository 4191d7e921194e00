//! Gives the C library its soname, and keeps the library mapped once it is loaded, because handles
//! point into it for the life of the process.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        let version = |part: &str| var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default();
        // Before 1.0 a minor release may change the interface, so each has a soname of its own.
        let abi = match version("MAJOR").as_str() {
            "0" => format!("0.{}", version("MINOR")),
            major => major.to_owned(),
        };
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libshmetrics.so.{abi}");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
