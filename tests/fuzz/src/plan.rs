//! The plan of a message's frames, for who decrypts them elsewhere.

use keyhaven_shared::message::{Content, HeaderParser, Layout, Next, ReadPlan};

use crate::genuine;

/// A frame is told from its first bytes alike, however many of them were seen; and a body is walked to
/// its end, to an error or to a frame that is not all there. The first two bytes say where to begin.
pub fn plan(data: &[u8]) {
    let Some((start, mut body)) = data.split_first_chunk::<2>() else { return };
    let message = genuine::message(0, 32, false);
    let parsed = HeaderParser::new().push(&message).expect("it is genuine");
    let (header, _) = parsed.expect("the header is whole");
    let (_, plan) = header.open_frames(&genuine::data_key()).expect("it is genuine");
    let mut plan = plan.from(u16::from_be_bytes(*start).into());
    while !plan.is_done() {
        told_alike(&plan, body);
        let Ok(Next::Frame(frame)) = plan.look(body) else { return };
        assert_eq!(body.get(..frame.head_length()), Some(frame.head().as_slice()));
        assert!(frame.content_length() <= 32, "longer than the header says");
        assert_eq!(frame.frame_bytes(), frame.head_length() + frame.content_length() + 16);
        let Some(rest) = body.get(frame.frame_bytes()..) else { return };
        plan.advance(&frame);
        body = rest;
    }
    assert!(plan.look(body).is_err(), "a frame after the last");
}

fn told_alike(plan: &ReadPlan, body: &[u8]) {
    let whole = format!("{:?}", plan.look(body));
    for length in 0..body.len().min(32) {
        let told = plan.look(body.get(..length).unwrap_or_default());
        match told {
            Ok(Next::Needs(more)) => assert!(more > length, "{more} of {length}"),
            Ok(Next::Frame(_)) | Err(_) => assert_eq!(format!("{told:?}"), whole, "from {length}"),
        }
    }
}

/// Where frames stand in a body of any length: whoever seeks lands inside.
pub fn layout(data: &[u8]) {
    let Some((numbers, _)) = data.split_first_chunk::<16>() else { return };
    let (frame, body) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let content = match u32::try_from(number(frame) % (1 << 25)) {
        Ok(frame_length @ 1..) => Content::Framed { frame_length },
        Ok(0) | Err(_) => Content::Unframed,
    };
    let body = number(body);
    let Ok(layout) = Layout::of(content, body) else { return };
    assert!(layout.size() < body);
    if let Some(past) = layout.frames().checked_add(1) {
        assert_eq!(layout.offset(past), body, "the frames fill the body");
    }
    let numbers = [1, 2, layout.frames() / 2, layout.frames(), u32::MAX];
    for sequence in numbers.into_iter().filter(|sequence| *sequence <= layout.frames()) {
        let (begin, end) = (layout.offset(sequence), layout.offset(sequence.saturating_add(1)));
        assert!(begin <= end && end <= body, "frame {sequence} of {layout:?}");
    }
}
