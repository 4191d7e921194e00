//! Ours, the rivals and the machine's floors, doing the same work in the same run. `make bench`
//! runs it; see docs/benchmarks.md.
//!
//! `shmetrics-rivals PART` measures one part and prints it as JSON. For x86_64 Linux.

mod contest;
mod crowd;
mod external;
mod forks;
mod fresh;
mod input;
mod instructions;
mod machine;
mod memory;
mod pages;
mod pair;
mod rivals;
mod scraped;
mod stats;
mod updates;
mod workers;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["updates", ref rows @ ..] => updates::run(rows),
        ["crowd"] => crowd::run(),
        ["pages"] => pages::run(),
        ["fresh"] => fresh::run(),
        ["memory"] => memory::run(),
        ["scraped"] => scraped::run(),
        ["workers"] => workers::run(),
        ["forks"] => forks::run(),
        ["instructions"] => instructions::run(),
        ["serve", segment, cpu] => return external::serve(segment, cpu.parse().expect("a processor")),
        _ => {
            eprintln!("usage: shmetrics-rivals updates|crowd|pages|fresh|memory|scraped|workers|forks|instructions");
            std::process::exit(2);
        }
    };
    println!("{result:#}");
}
