//! Requests over plain HTTP, to servers that behave and that do not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod server;

use std::time::Duration;

use replicante_outbound::{AddressPolicy, FetchError, Outbound, Refused, Request, TlsFailure};
use server::{Reply, Server, free_port};

const SHORT: Duration = Duration::from_millis(50);

fn local() -> Outbound {
    Outbound::new(AddressPolicy::local())
}

#[tokio::test]
async fn an_answer_is_given_as_it_is_whatever_its_status() {
    let server =
        Server::start(|_| Reply::answer(503, "Content-Type: text/plain; charset=x\r\n", "busy")).await;
    let fetched = local().fetch(&Request::get(&server.url("/a?b=c"))).await.unwrap();
    assert_eq!((fetched.status, &fetched.body[..]), (503, &b"busy"[..]));
    assert_eq!(fetched.content_type(), Some("text/plain"));
    assert_eq!(fetched.header("CONTENT-LENGTH"), Some("4"));
    assert_eq!(server.requests(), ["GET /a?b=c"]);
    assert!(server.texts()[0].to_ascii_lowercase().contains("accept: application/json"));
}

#[tokio::test]
async fn json_is_posted_with_the_given_headers() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let headers = [("X-Token".to_owned(), "s3cret".to_owned().into())];
    let url = server.url("/clusters");
    let request = Request { headers: &headers, ..Request::post(&url, r#"{"cursor":null}"#) };
    local().fetch(&request).await.unwrap();
    let text = server.texts().remove(0);
    assert!(text.starts_with("POST /clusters HTTP/1.1\r\n"), "{text}");
    for part in ["x-token: s3cret\r\n", "content-type: application/json\r\n", "\r\n\r\n{\"cursor\":null}"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let outbound = local();
    for _ in 0..5 {
        outbound.fetch(&Request::get(&server.url("/"))).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn a_connection_is_not_kept_from_one_refresh_to_the_next() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let outbound = local();
    outbound.fetch(&Request::get(&server.url("/"))).await.unwrap();
    assert_eq!(server.open(), 1);
    for _ in 0..100 {
        if server.open() == 0 {
            break;
        }
        tokio::time::sleep(SHORT).await;
    }
    assert_eq!(server.open(), 0, "the socket is closed without another request");
    outbound.fetch(&Request::get(&server.url("/"))).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::start(|_| Reply::json(200, "{}")).await;
    let location = format!("location: {}\r\n", target.url("/"));
    let server = Server::start(move |_| Reply::answer(302, &location, "")).await;
    let fetched = local().fetch(&Request::get(&server.url("/"))).await.unwrap();
    assert_eq!(fetched.status, 302);
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn a_cookie_is_not_kept() {
    let server = Server::start(|_| Reply::answer(200, "set-cookie: a=b\r\n", "")).await;
    let outbound = local();
    for _ in 0..2 {
        outbound.fetch(&Request::get(&server.url("/"))).await.unwrap();
    }
    assert!(server.texts().iter().all(|text| !text.to_ascii_lowercase().contains("cookie")));
}

#[tokio::test]
async fn the_whole_request_has_a_limit() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec();
    let server = Server::start(move |line| match line {
        "GET /hang" => Reply::Hang,
        _ => Reply::Raw(head.clone()),
    })
    .await;
    for path in ["/hang", "/half"] {
        let url = server.url(path);
        let request = Request { timeout: SHORT, ..Request::get(&url) };
        let started = std::time::Instant::now();
        assert_eq!(local().fetch(&request).await.unwrap_err(), FetchError::Timeout(SHORT), "{path}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_body_is_read_to_its_limit_and_no_further() {
    let server = Server::start(|line| match line {
        "GET /endless" => Reply::Endless,
        "GET /announced" => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n".to_vec()),
        _ => Reply::json(200, [b' '; 1024]),
    })
    .await;
    let outbound = local();
    for path in ["/endless", "/announced"] {
        let url = server.url(path);
        let request = Request { max_body: 1 << 20, ..Request::get(&url) };
        let error = outbound.fetch(&request).await.unwrap_err();
        assert_eq!(error, FetchError::TooLarge(1 << 20), "{path}");
        assert_eq!(error.reason(), "answer larger than 1 MiB");
    }
    let url = server.url("/exact");
    let exact = Request { max_body: 1024, ..Request::get(&url) };
    assert_eq!(outbound.fetch(&exact).await.unwrap().body.len(), 1024);
    let less = Request { max_body: 1023, ..Request::get(&url) };
    assert_eq!(outbound.fetch(&less).await.unwrap_err(), FetchError::TooLarge(1023));
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let body =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n3\r\ndef\r\n0\r\n\r\n";
    let server = Server::start(move |_| Reply::Raw(body.into())).await;
    let fetched = local().fetch(&Request::get(&server.url("/"))).await.unwrap();
    assert_eq!(&fetched.body[..], b"abcdef");
}

#[tokio::test]
async fn a_port_where_nothing_listens_refuses() {
    let url = format!("http://{}/", free_port().await);
    let error = local().fetch(&Request::get(&url)).await.unwrap_err();
    assert_eq!(error, FetchError::ConnectionRefused);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_a_closed_connection() {
    let server = Server::start(|line| match line {
        "GET /head" => Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-".to_vec()),
        "GET /body" => Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec()),
        "GET /chunk" => Reply::Last(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab".to_vec()),
        _ => Reply::Last(Vec::new()),
    })
    .await;
    for path in ["/nothing", "/head", "/body", "/chunk"] {
        let error = local().fetch(&Request::get(&server.url(path))).await.unwrap_err();
        assert_eq!(error, FetchError::ConnectionClosed, "{path}");
    }
}

#[tokio::test]
async fn a_get_on_a_connection_that_was_closed_meanwhile_is_sent_once_more_and_a_post_is_not() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        // The second request finds a connection that dies under it.
        1 | 3 => Reply::Last(Vec::new()),
        _ => Reply::json(200, "{}"),
    })
    .await;
    let outbound = local();
    let url = server.url("/");
    outbound.fetch(&Request::get(&url)).await.unwrap();
    outbound.fetch(&Request::get(&url)).await.unwrap();
    assert_eq!(server.requests().len(), 3);
    let error = outbound.fetch(&Request::post(&url, "{}")).await.unwrap_err();
    assert_eq!((error, server.requests().len()), (FetchError::ConnectionClosed, 4));
}

#[tokio::test]
async fn garbage_is_no_http() {
    for garbage in ["SSH-2.0-OpenSSH_9.6\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n"] {
        let server = Server::start(move |_| Reply::Last(garbage.into())).await;
        let error = local().fetch(&Request::get(&server.url("/"))).await.unwrap_err();
        assert_eq!(error, FetchError::NotHttp, "{garbage:?}");
    }
}

#[tokio::test]
async fn a_plain_port_speaks_no_tls() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let answering = server.url("/").replace("http:", "https:");
    let tls = replicante_outbound::TlsSettings {
        ca_bundle: Some(concat!("file:", env!("CARGO_MANIFEST_DIR"), "/tests/pki/ca.pem").into()),
        client_certificate: None,
    };
    // The server of these tests waits for the end of a head, as some do; others answer in plain text.
    let request = Request { tls: &tls, connect_timeout: SHORT, ..Request::get(&answering) };
    assert_eq!(local().fetch(&request).await.unwrap_err(), FetchError::ConnectTimeout(SHORT));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let request = Request { tls: &tls, ..Request::get(&url) };
    let outbound = local();
    let (error, _) = tokio::join!(outbound.fetch(&request), async {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    assert_eq!(error.unwrap_err(), FetchError::Tls(TlsFailure::NotTls));
}

#[tokio::test]
async fn the_policy_holds_for_addresses_in_every_form_and_nothing_is_opened() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let port = server.address.port();
    let outbound = Outbound::new(AddressPolicy::default());
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "%31%32%37.0.0.1",
    ] {
        let url = format!("http://{host}:{port}/");
        let error = outbound.fetch(&Request::get(&url)).await.unwrap_err();
        assert_eq!(error, FetchError::AddressRefused(Refused::BuiltIn("loopback")), "{host}");
    }
    for host in ["169.254.169.254", "[fd00:ec2::254]", "0xa9fea9fe"] {
        let url = format!("http://{host}/latest/meta-data/");
        let error = outbound.fetch(&Request::get(&url)).await.unwrap_err();
        assert!(matches!(error, FetchError::AddressRefused(Refused::BuiltIn(_))), "{host}: {error}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_policy_holds_for_what_a_name_resolves_to() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let url = format!("http://localhost:{}/", server.address.port());
    let error = Outbound::new(AddressPolicy::default()).fetch(&Request::get(&url)).await.unwrap_err();
    assert_eq!(error, FetchError::AddressRefused(Refused::BuiltIn("loopback")));
    assert_eq!(error.reason(), "address is loopback, which is not allowed");
    assert_eq!(server.connections(), 0);
    assert_eq!(local().fetch(&Request::get(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_policy_holds_for_ports() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let outbound = Outbound::new(AddressPolicy::parse("127.0.0.0/8", "", "443", "").unwrap());
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}/", server.address.port());
        let error = outbound.fetch(&Request::get(&url)).await.unwrap_err();
        assert_eq!(error, FetchError::AddressRefused(Refused::OtherPort));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_failure_of_its_own() {
    let error = local().fetch(&Request::get("http://nowhere.invalid/")).await.unwrap_err();
    assert_eq!(error, FetchError::Dns);
}

#[tokio::test]
async fn what_is_no_request_is_refused_before_anything_is_sent() {
    for url in ["", "nowhere", "ftp://host/", "file:///etc/passwd", "http://", "http://host:99999/"] {
        let error = local().fetch(&Request::get(url)).await.unwrap_err();
        assert!(matches!(error, FetchError::BadRequest(_)), "{url}: {error:?}");
    }
    for (name, value) in [("a b", "x"), ("x", "a\r\nb: c")] {
        let headers = [(name.to_owned(), value.to_owned().into())];
        let request = Request { headers: &headers, ..Request::get("http://127.0.0.1:1/") };
        let error = local().fetch(&request).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("header `{name}`: ")), "{error}");
        assert!(!error.to_string().contains(value) || value == "x");
    }
}
