//! Tests of `shmetrics push`, against a server whose answers the tests choose.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc::{channel, Receiver};
use std::thread;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use support::{collect, signal, wait, Room, WATCHDOG};

struct Asked {
    line: String,
    headers: String,
    body: Vec<u8>,
}

/// Answers each request with the next of these, the last one again and again, each on a connection
/// of its own.
fn server(answers: &[&str]) -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("has an address"));
    let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    let (sender, asked) = channel();
    thread::spawn(move || {
        for (i, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.expect("accepts"));
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                lines.push(line.trim_end().to_owned());
            }
            let headers = lines.get(1..).unwrap_or_default().join("\n").to_ascii_lowercase();
            let length =
                headers.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("the body comes");
            let answer = &answers[i.min(answers.len() - 1)];
            let told = format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n");
            let _ = reader.get_mut().write_all(told.as_bytes());
            if sender.send(Asked { line: lines.first().cloned().unwrap_or_default(), headers, body }).is_err() {
                break;
            }
        }
    });
    (url, asked)
}

const OK: &str = "200 OK\r\nContent-Length: 0";
const BUSY: &str = "503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy";

fn next(asked: &Receiver<Asked>) -> Asked {
    asked.recv_timeout(WATCHDOG).expect("it asks")
}

#[test]
fn a_page_to_a_group() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (url, asked) = server(&[OK]);
    let groups = ["--group", "instance=a/b", "--group", "zone="];
    let secret = room.write("password", "s3cret\n");
    let known = ["--user", "ann", "--password-file", &secret, "--header", "X-Scope-OrgID: me"];
    let ran = room.run(&[&["push", "shop", "--gateway", &url], &groups[..], &known].concat());
    assert_eq!(
        (ran.success(), ran_line(&asked)),
        (String::new(), "PUT /metrics/job/shop/instance@base64/YS9i/zone@base64/= HTTP/1.1".into())
    );

    let to = ["push", "shop", "--gateway", &format!("{url}/prefix/")];
    room.run(&[&to[..], &["--job", "j", "--method", "post", "--protobuf"]].concat()).success();
    let post = next(&asked);
    assert_eq!(post.line, "POST /prefix/metrics/job/j HTTP/1.1");
    assert!(
        post.headers.contains("application/vnd.google.protobuf") && post.body.windows(10).any(|w| w == b"jobs_total")
    );

    // No segment is needed to take a group away.
    room.run(&["push", "nothing", "--gateway", &url, "--job", "j", "--method", "delete"]).success();
    let delete = next(&asked);
    assert_eq!((delete.line.as_str(), delete.body.len()), ("DELETE /metrics/job/j HTTP/1.1", 0));
}

/// The line of a push with the name and the headers that were given.
fn ran_line(asked: &Receiver<Asked>) -> String {
    let put = next(asked);
    assert!(put.headers.contains("authorization: basic yw5uonmzy3jlda=="), "{}", put.headers);
    assert!(
        put.headers.contains("x-scope-orgid: me") && put.headers.contains("text/plain; version=0.0.4"),
        "{}",
        put.headers
    );
    assert!(String::from_utf8_lossy(&put.body).contains("\njobs_total 3\n"));
    put.line
}

#[test]
fn what_passes_is_tried_again() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (url, asked) = server(&[BUSY, BUSY, OK]);
    room.run(&["push", "shop", "--gateway", &url]).success();
    assert_eq!((0..3).map(|_| next(&asked).body.len()).filter(|n| *n > 0).count(), 3);
    let (url, _asked) = server(&[BUSY]);
    room.run(&["push", "shop", "--gateway", &url, "--retries", "2"]).failure(&["503", "busy", "(tried 3 times)"]);
    let (url, asked) = server(&["400 Bad Request\r\nContent-Length: 14\r\n\r\npushed metrics"]);
    room.run(&["push", "shop", "--gateway", &url]).failure(&["400", "pushed metrics"]);
    drop(next(&asked));
    assert!(asked.try_recv().is_err(), "what is wrong is not tried again");
}

#[test]
fn what_cannot_be_pushed_is_a_failure_that_says_why() {
    let room = Room::new();
    room.run(&["push", "shop", "--gateway", "http://127.0.0.1:9"]).failure(&["there is no segment at"]);
    room.segment_with_jobs("shop", 3);
    let to = |url: &'static str| ["push", "shop", "--retries", "0", "--gateway", url];
    room.run(&to("http://127.0.0.1:9")).failure(&["127.0.0.1:9", "refused"]);
    room.run(&to("127.0.0.1:9091")).failure(&["http://HOST:PORT"]);
    room.run(&to("http://a:b@127.0.0.1")).failure(&["--password-file"]);
    room.run(&["push", "shop", "--gateway", "http://a", "--group", "job=x"]).failure(&["--group job"]);
    assert_eq!(room.run(&["push", "shop"]).code, Some(2), "it must be said where to");
    assert_eq!(room.run(&["push", "shop", "--gateway", "http://a", "--otlp", "http://b"]).code, Some(2));
    // A server that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", silent.local_addr().expect("has an address"));
    let ran = room.run(&["push", "shop", "--gateway", &url, "--timeout", "0.2", "--retries", "1"]);
    ran.failure(&["does not answer in 0.2 s", "(tried 2 times)"]);
}

/// What an operator sees of a loop whose pushes fail.
#[test]
fn a_loop_tells_how_its_pushes_went() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 1);
    // Each answer differs, as answers with an identifier do.
    let no = |n: u32| format!("400 Bad Request\r\nContent-Length: 9\r\n\r\nrequest {n}");
    let mut answers: Vec<String> = (0..6).map(no).collect();
    answers.push(OK.to_owned());
    let (url, asked) = server(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    let file = room.dir().join("shop.prom");
    let textfile = ["--textfile", &file.display().to_string()];
    let push = ["push", "shop", "gone", "--gateway", &url, "--interval", "0.05"];
    let mut command = room.command(&[&push[..], &textfile].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let said = collect(child.stderr.take().expect("a pipe"));
    let pages: Vec<_> = (0..8).map(|_| next(&asked)).collect();
    segment.counter("jobs_total", "Jobs done.").register().expect("registers again").inc();
    signal("TERM", child.id());
    assert!(wait(&mut child).success());
    let last = asked.try_iter().last().expect("a last push, after the signal");
    assert!(String::from_utf8_lossy(&last.body).contains("\njobs_total{segment=\"shop\"} 2\n"));
    // A page has the state before its push.
    let page = String::from_utf8_lossy(&pages[7].body);
    for line in [
        "shmetrics_push_pushes_total{result=\"failure\"} 6",
        "shmetrics_push_pushes_total{result=\"success\"} 1",
        "shmetrics_push_segments_missing 1",
        "jobs_total{segment=\"shop\"} 1",
    ] {
        assert!(page.lines().any(|its| its == line), "{line}: {page}");
    }
    let first = String::from_utf8_lossy(&pages[0].body);
    assert!(first.contains("\nshmetrics_push_last_success_timestamp_seconds 0\n"), "{first}");
    let text = std::fs::read_to_string(&file).expect("there is a file");
    let labels = format!("segments=\"shop, gone\",url=\"{url}/metrics/job/shop\"");
    assert!(text.contains(&format!("shmetrics_push_pushes_total{{{labels},result=\"failure\"}} 6\n")), "{text}");
    assert!(!text.contains("last_success_timestamp_seconds{{{labels}}} 0\n"), "{text}");
    let said = said.join().expect("reads");
    assert_eq!(said.matches("not pushed: ").count(), 1, "the journal is not filled: {said}");
    assert!(said.contains("pushed again (5 more failures") && said.contains("shmetrics-gone"), "{said}");
    // A single push is no loop: its exit status tells all.
    room.run(&["push", "shop", "--gateway", &url]).success();
    assert!(!String::from_utf8_lossy(&asked.try_iter().last().expect("a push").body).contains("shmetrics_push_"));
    let ran = room.run(&[&["push", "shop", "--gateway", &url], &textfile[..]].concat());
    assert_eq!(ran.code, Some(2), "{ran:?}");
    // A device in the place of the file is not replaced.
    let directory = room.dir().display().to_string();
    room.run(&[&push[..], &["--textfile", &directory]].concat()).failure(&[&directory, "no regular file"]);
}

#[test]
fn otlp() {
    let room = Room::new();
    let segment = room.segment("shop");
    let hits = segment.counter("hits_total", "Hits.").labels(["n"]).register().expect("registers");
    for n in 0..4500 {
        hits.with([&n.to_string()]).inc_by(n);
    }
    segment.info("target", "").labels(["version"]).register().expect("registers").with(["7"]);
    let latency = segment.histogram("latency_seconds", "Time.").unit("seconds").buckets(&[0.1, 1.0]).register();
    let latency = latency.expect("registers");
    latency.observe_with_exemplar(0.5, &[("trace_id", "0123456789abcdef0123456789abcdef"), ("who", "me")]);
    latency.observe(0.05);
    segment.gauge_histogram("sizes", "").buckets(&[1.0]).register().expect("registers").observe(0.5);
    segment.summary("s", "").register().expect("registers").observe(4.0);
    segment.enumeration("breaker", "", &["closed", "open"]).register().expect("registers").set(1);
    let (url, asked) = server(&[OK]);
    let ran = room.run(&["push", "shop", "--otlp", &url, "--attribute", "service.name=till"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("1 series have a type that OTLP does not have"), "{ran:?}");
    let requests: Vec<_> = asked.try_iter().collect();
    assert_eq!(requests.len(), 3, "two thousand points in each");
    let (mut hits, mut names) = (Vec::new(), Vec::new());
    for request in &requests {
        assert_eq!(request.line, "POST /v1/metrics HTTP/1.1");
        assert!(request.headers.contains("content-type: application/x-protobuf"));
        let of = &ExportMetricsServiceRequest::decode(&request.body[..]).expect("decodes").resource_metrics[0];
        let attributes = &of.resource.as_ref().expect("there is one").attributes;
        let keys: Vec<&str> = attributes.iter().map(|a| a.key.as_str()).collect();
        assert_eq!(keys, ["service.name", "service.instance.id", "version"]);
        for metric in &of.scope_metrics[0].metrics {
            match metric.data.as_ref().expect("there is data") {
                Data::Sum(sum) if metric.name == "hits_total" => {
                    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                    for point in &sum.data_points {
                        assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano <= point.time_unix_nano);
                        hits.push(point.value);
                    }
                }
                Data::Histogram(histogram) => {
                    let point = &histogram.data_points[0];
                    assert_eq!((metric.name.as_str(), metric.unit.as_str()), ("latency_seconds", "s"));
                    assert_eq!((&point.bucket_counts, &point.explicit_bounds), (&vec![1, 1, 0], &vec![0.1, 1.0]));
                    assert_eq!((point.count, point.sum), (2, Some(0.55)));
                    let exemplar = &point.exemplars[0];
                    assert_eq!(
                        (exemplar.trace_id[..2].to_vec(), exemplar.filtered_attributes.len()),
                        (vec![1, 0x23], 1)
                    );
                    names.push(metric.name.clone());
                }
                _ => names.push(metric.name.clone()),
            }
        }
    }
    assert_eq!(hits.len(), 4500);
    names.retain(|name| !name.starts_with("shmetrics_"));
    assert_eq!(names, ["latency_seconds", "s", "breaker"]);
}

#[test]
fn points_that_a_collector_rejects_are_a_failure() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    // {partial_success: {rejected_data_points: 5, error_message: "old"}}
    let (url, _asked) = server(&["200 OK\r\nContent-Length: 9\r\n\r\n\x0a\x07\x08\x05\x12\x03old"]);
    room.run(&["push", "shop", "--otlp", &url]).failure(&["5 points were rejected", "old"]);
    let (url, asked) = server(&["500 Internal Server Error\r\nContent-Length: 0"]);
    room.run(&["push", "shop", "--otlp", &format!("{url}/custom/path")]).failure(&["500"]);
    assert_eq!(next(&asked).line, "POST /custom/path HTTP/1.1");
    assert!(asked.try_recv().is_err(), "of OTLP that is not tried again");
}

#[test]
fn tokens_and_headers_from_files() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (url, asked) = server(&[OK]);
    let token = room.write("token", "t0ken\n");
    let headers = room.write("headers", "# for the way there\nX-API-Key: k3y\n\nX-Scope-OrgID: me\n");
    room.run(&["push", "shop", "--gateway", &url, "--bearer-token-file", &token, "--header-file", &headers]).success();
    let put = next(&asked);
    for header in ["authorization: bearer t0ken", "x-api-key: k3y", "x-scope-orgid: me"] {
        assert!(put.headers.lines().any(|line| line == header), "{}", put.headers);
    }
    room.run(&["push", "shop", "--gateway", &url, "--bearer-token-file", "/nowhere"]).failure(&["/nowhere"]);
}

/// Shells pass secrets by pipes, as of `<(pass show gateway)`, and a pipe can be read once.
#[test]
fn a_secret_from_a_pipe_and_one_that_is_not_there() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (url, asked) = server(&[BUSY, OK]);
    let script = "printf s3cret | exec \"$0\" push shop --gateway \"$1\" --user ann --password-file /dev/stdin";
    let mut command = room.program("sh");
    let ran = command.args(["-c", script, env!("CARGO_BIN_EXE_shmetrics"), &url]).output().expect("runs");
    assert!(ran.status.success(), "{ran:?}");
    for _ in 0..2 {
        let put = next(&asked);
        assert!(put.headers.contains("authorization: basic yw5uonmzy3jlda=="), "{}", put.headers);
    }
    // A file that is being replaced.
    let empty = room.write("empty", "\n");
    for option in [&["--bearer-token-file"][..], &["--header-file"], &["--user", "ann", "--password-file"]] {
        let ran = room.run(&[&["push", "shop", "--gateway", &url], option, &[&empty]].concat());
        ran.failure(&["empty"]);
    }
    room.run(&["push", "shop", "--gateway", &url, "--bearer-token-file", "/dev/zero"]).failure(&["/dev/zero"]);
    for header in ["Content-Length: 3", "transfer-encoding: chunked", "Connection: close"] {
        room.run(&["push", "shop", "--gateway", &url, "--header", header]).failure(&["cannot be set"]);
    }
    assert!(asked.try_recv().is_err(), "nothing is pushed without its secret");
}
