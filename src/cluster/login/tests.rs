//! Which context is chosen, what commands are given, and a client that leaves trying again to us.

use super::*;

const TWO: &str = "{apiVersion: v1, kind: Config, current-context: prod, \
    clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [], \
    contexts: [{name: prod, context: {cluster: c}}, {name: staging, context: {cluster: c}}]}";

fn file(text: &str) -> TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.into_temp_path()
}

fn named(file: &Path, context: Option<&str>) -> LoginOptions {
    LoginOptions { kubeconfig: Some(file.to_owned()), context: context.map(str::to_owned), impersonate: None }
}

fn context(text: &str, context: Option<&str>) -> String {
    let file = file(text);
    let chosen = match choose(&named(&file, None), None, None) {
        Ok(chosen) => chosen.unwrap(),
        Err(error) => return error.to_string().replace(&file.display().to_string(), "FILE"),
    };
    context_of(&chosen.config, context).unwrap_or_else(|error| error.to_string())
}

#[test]
fn the_context_is_the_named_one_or_the_current_one() {
    for (text, wanted, expected) in [
        (TWO, None, "prod"),
        (TWO, Some("staging"), "staging"),
        (TWO, Some("stagin"), "there is no context `stagin`; did you mean `staging`?"),
        (TWO, Some("elsewhere"), "there is no context `elsewhere`: there are `prod`, `staging`"),
        ("", None, "no context is chosen: the kubeconfig has no contexts"),
    ] {
        assert_eq!(context(text, wanted), expected, "{wanted:?}");
    }
    assert!(context("clusters: {]", None).starts_with("the kubeconfig `FILE` is broken:"));
}

#[test]
fn a_missing_file_is_told_from_a_broken_one() {
    let missing = choose(&named(Path::new("/nowhere/config"), None), None, None);
    assert!(matches!(missing, Err(LoginError::Missing(_))));
    let listed = choose(&LoginOptions::default(), Some("/nowhere/a:/nowhere/b".into()), None);
    let Err(LoginError::Missing(told)) = listed else { panic!("a KUBECONFIG that leads nowhere was accepted") };
    assert_eq!(told, "KUBECONFIG names `/nowhere/a`, `/nowhere/b`, which is not there");
    let none = choose(&LoginOptions::default(), None, Some("/nowhere".into()));
    assert!(matches!(none, Ok(None)));
}

#[test]
fn of_several_files_the_first_to_say_something_wins() {
    let (first, second) = (file("{current-context: staging}"), file(TWO));
    let listed = std::env::join_paths([&*first, Path::new("/nowhere"), &*second]).unwrap();
    let chosen = choose(&LoginOptions::default(), Some(listed), None).unwrap().unwrap();
    assert_eq!(context_of(&chosen.config, None).unwrap(), "staging");
    assert_eq!(chosen.files.len(), 2);
}

#[test]
fn commands_reach_the_context_that_was_chosen() {
    let file = file(TWO);
    for (wanted, current) in [("prod", "prod"), ("staging", "staging")] {
        let options = named(&file, Some(wanted));
        let chosen = choose(&options, None, None).unwrap().unwrap();
        let (environment, _kept) = for_commands(&chosen, &options, wanted).unwrap();
        let [(name, value)] = environment.as_slice() else { panic!("{environment:?}") };
        assert_eq!(name, "KUBECONFIG");
        let again = choose(&LoginOptions::default(), Some(value.into()), None).unwrap().unwrap();
        assert_eq!(context_of(&again.config, None).unwrap(), current);
    }
}

/// A server that is always busy, how often it was asked.
fn busy() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let busy = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(busy.as_bytes());
        }
    });
    (address, asked)
}

#[tokio::test]
async fn the_client_tries_nothing_again_by_itself() {
    let (address, asked) = busy();
    let file = file(&TWO.replace("https://127.0.0.1:1", &format!("http://{address}")));
    let options = named(&file, None);
    let chosen = choose(&options, None, None).unwrap();
    let (config, context) = configuration(chosen.as_ref(), &options).await.unwrap();
    let request = http::Request::get("/version").body(Vec::new()).unwrap();
    let client = client(config, &context).unwrap();
    let answer = client.request_text(request);
    // kube's own layer would be at it for minutes.
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), answer).await;
    assert!(matches!(answer, Ok(Err(_))), "the 429 is ours to hear: {answer:?}");
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_names_no_namespace_is_in_that_of_the_context() {
    let named_in =
        TWO.replace("name: staging, context: {cluster: c}", "name: staging, context: {cluster: c, namespace: shop}");
    let file = file(&named_in);
    for (wanted, expected) in [("prod", "default"), ("staging", "shop")] {
        let options = named(&file, Some(wanted));
        let chosen = choose(&options, None, None).unwrap();
        let (config, _) = configuration(chosen.as_ref(), &options).await.unwrap();
        assert_eq!(config.default_namespace, expected);
    }
}
