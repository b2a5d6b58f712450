//! Web pages: the allowed ones may call, the others are refused before anything else.

use http::Method;

use super::{
    samples::Samples,
    world::{PAGE, World},
};
use crate::native::routes::table;

#[tokio::test]
async fn a_foreign_page_is_refused_everywhere() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    let before = world.audit_size().await;
    let foreign =
        ["null", "https://app.example.evil", "http://app.example", "https://APP.example", "", "*"];
    for route in &table() {
        let mut good = samples.of(route);
        good.header("authorization", format!("Bearer {}", world.admin.token));
        good.header("cookie", "session=1");
        for origin in foreign {
            for method in [&route.method, &Method::OPTIONS] {
                let mut sample = good.clone();
                sample.header("origin", origin);
                let refusal = world.refusal(method, &sample).await;
                assert_eq!(refusal, (403, "origin_not_allowed".to_owned()), "{origin}");
                let headers = world.send(method, &sample).await.headers().clone();
                assert!(!headers.contains_key("access-control-allow-origin"), "{origin}");
                assert_eq!(headers["vary"], "Origin");
            }
        }
        let mut two = good.clone();
        two.header("origin", PAGE);
        two.header("origin", PAGE);
        assert_eq!(world.refusal(&route.method, &two).await.0, 403);
    }
    assert_eq!(world.audit_size().await, before, "nothing was done");
}

#[tokio::test]
async fn an_allowed_page_is_told_so_and_nothing_about_cookies() {
    let world = World::new().await;
    let samples = Samples::prepare(&world).await;
    for route in &table() {
        let mut sample = samples.of(route);
        sample.header("origin", PAGE);
        let ask = world.send(&Method::OPTIONS, &sample).await;
        assert_eq!(ask.status(), 204);
        let headers = ask.headers();
        assert_eq!(headers["access-control-allow-origin"], PAGE);
        assert_eq!(headers["access-control-max-age"], "600");
        let allowed = headers["access-control-allow-methods"].to_str().unwrap();
        assert!(allowed.contains(route.method.as_str()));
        assert!(!headers.contains_key("access-control-allow-credentials"));
        let sample = world.sign(route, &world.admin, sample).await;
        let answer = world.send(&route.method, &sample).await;
        assert_eq!(answer.status(), route.status, "{}", route.pattern);
        assert_eq!(answer.headers()["access-control-allow-origin"], PAGE);
        assert_eq!(answer.headers()["vary"], "Origin");
    }
}
