/** Reads server-sent events (WHATWG HTML §9.2), as far as the native API sends them. */

import { own } from './platform.js';

/** One event. */
export interface ServerSentEvent {
  /** Its kind: `hello`, `ping`, `lease`. */
  readonly event: string;
  /** Its content. */
  readonly data: string;
  /** The newest number in the stream, if one was told. */
  readonly id: string | undefined;
}

/**
 * The events of a stream, as they come. An overlong line or event ends it, and so does the signal, by itself: not every
 * platform's `fetch` ends an answer that has begun.
 */
export async function* serverSentEvents(stream: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<ServerSentEvent> {
  const reader = stream.getReader();
  const end = () => void reader.cancel().catch(() => undefined);
  signal?.addEventListener('abort', end, own({ once: true }));
  const decoder = new TextDecoder();
  let rest = '';
  let [event, data] = ['message', ''];
  let id: string | undefined;
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const lines = (rest + decoder.decode(piece.value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      if (rest.length > MAX_EVENT) return;
      for (const line of lines) {
        const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        if (field === 'event') event = value;
        if (field === 'data') data += value;
        if (data.length > MAX_EVENT) return;
        if (field === 'id') id = value;
        if (line !== '') continue;
        yield { event, data, id };
        [event, data] = ['message', ''];
      }
    }
  } finally {
    signal?.removeEventListener('abort', end);
    await reader.cancel().catch(() => undefined);
  }
}

/** Characters of a line, and of an event's data. */
const MAX_EVENT = 64 * 1024;
