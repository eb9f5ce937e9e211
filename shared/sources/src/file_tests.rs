use replicante_objects::Limits;

use super::*;

async fn fetch(name: &str, content: &[u8]) -> Result<SourceAnswer, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let limits = Limits { bytes: 1000, ..Limits::default() };
    File::new(FileSource { path: path.display().to_string(), limits }).fetch().await
}

async fn reason(name: &str, content: &[u8]) -> String {
    fetch(name, content).await.unwrap_err().reason()
}

#[tokio::test]
async fn a_file_is_json_or_yaml_in_the_form_of_http() {
    let json = br#"{"cursor": null, "clusters": [{"cluster_id": "a", "nodes": ["http://a:1/"]}]}"#;
    let yaml = b"# the fleet\nclusters:\n  - cluster_id: a\n    nodes:\n      - http://a:1/\n";
    let expected = fetch("fleet.json", json).await.unwrap();
    assert_eq!(expected.clusters["a"].nodes["http://a:1"], "http://a:1");
    for (name, content) in [("fleet.yaml", &yaml[..]), ("fleet.yml", yaml), ("fleet", yaml), ("fleet", json)]
    {
        assert_eq!(fetch(name, content).await.as_ref(), Ok(&expected), "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_whole_list_fails() {
    for (name, content, expected) in [
        ("a.json", "{}", "the answer has no clusters: expected a list, which may be empty"),
        ("a.yaml", "", "the answer is null: expected an object"),
        ("a.json", "clusters: []", "malformed JSON"),
        ("a.yaml", "clusters: [", "malformed YAML"),
        ("a.yaml", "clusters: []\n---\nclusters: []\n", "malformed YAML"),
        (
            "a.yaml",
            "clusters: []\ncursor: more\n",
            "the answer has a cursor, but only POST asks for further pages",
        ),
    ] {
        assert_eq!(reason(name, content.as_bytes()).await, expected, "{content}");
    }
    assert_eq!(reason("a.yaml", b"clusters: [\xff]").await, "malformed YAML");
    assert_eq!(reason("a.yaml", &[b' '; 1001]).await, "more than 1000 bytes, the limit `bytes`");
}

#[tokio::test]
async fn what_is_no_readable_file_fails_with_what_was_tried_and_the_way_out() {
    let fetch = async |path: &str| {
        File::new(FileSource { path: path.into(), limits: Limits::default() }).fetch().await.unwrap_err()
    };
    let error = fetch("/no/such/file.yaml").await;
    assert_eq!(error.reason(), "the file can't be read: entity not found");
    assert_eq!(
        error.to_string(),
        "read /no/such/file.yaml: the file can't be read: entity not found; check the discovery's `path`, and that the \
         process may read it"
    );
    assert_eq!(fetch("/").await.reason(), "the file can't be read: it is no regular file");
    assert_eq!(fetch("/dev/zero").await.reason(), "the file can't be read: it is no regular file");
}
