// Why an answer may differ from the real one. Each case is narrow; docs/emulator-differences.md says the same in words.

/** Documents that differ on purpose: what is read of them afterwards differs too. */
const differing = new Set();

const both400 = (real, ours) => real.status === 400 && ours.status === 400;
const says = (answer, text) => typeof answer.body?.message === 'string' && answer.body.message.includes(text);

const REASONS = [
  [
    'words of a JSON syntax error are the parser’s own',
    (request, real, ours) =>
      both400(real, ours) && /StreamReadFeature|^expected end of input/.test(real.body.message ?? ''),
  ],
  [
    'words of a selection that cannot be parsed are the parser’s own',
    (request, real, ours) =>
      both400(real, ours) &&
      says(real, 'Exception parsing document selector') &&
      says(ours, 'Failed to parse selection'),
  ],
  [
    'which documents a page or a slice holds depends on how documents hash to buckets; together they hold all',
    (request, real, ours) =>
      request.method === 'GET' &&
      real.status === 200 &&
      ours.status === 200 &&
      (/[?&](slices|bucketSpace)=/.test(request.path) ||
        /stream=(true&wantedDocumentCount=7|false)/.test(request.path) ||
        /docid\/(a\/\.\.|\.)$/.test(request.path)),
  ],
  [
    'a vector of another size than its type’s is refused, as releases since June 2026 do; 8.700 pads it with zeros or answers 500',
    (request, real, ours) =>
      ours.status === 400 &&
      (real.status === 200 || real.status === 500) &&
      /Expected \d+ values, but got \d+/.test(ours.body.message ?? ''),
  ],
  [
    'the real message names a Java object by its address',
    (request, real, ours) => both400(real, ours) && /\[Lcom\.fasterxml/.test(real.body.message ?? ''),
  ],
  [
    'the checker’s selections run in Java over a stand-in store, which cannot compute with fields or meets an unknown one midway; content nodes can',
    (request, real) =>
      real.status === 500 &&
      /selection=/.test(request.path) &&
      /does not evaluate|only available|not supported|not found|Cannot invoke/.test(real.body.message ?? ''),
  ],
  [
    'broken escapes are refused by the HTTP server before Vespa sees them; its page, or the closed connection, is not Vespa’s',
    (request, real, ours) =>
      /%(E6|zz|$)/.test(request.path) &&
      ours.status === 400 &&
      (real.status === 'ECONNRESET' || real.status === 400),
  ],
  [
    'the checker’s stand-in store never answers a streamed visit whose selection is wrong',
    (request, real, ours) =>
      real.status === 'NO_ANSWER' && ours.status === 400 && /selection=/.test(request.path),
  ],
  [
    'the order in which the known document types are named',
    (request, real, ours) =>
      both400(real, ours) &&
      says(real, 'There is no document type') &&
      says(ours, 'There is no document type'),
  ],
  [
    'words of a tensor in a form that its type does not have',
    (request, real, ours) =>
      both400(real, ours) &&
      request.group === 'tensors in every form' &&
      says(real, 'Could not parse field') &&
      says(ours, 'Could not parse field'),
  ],
  [
    'a tensor of two entries with one label: JSON.parse keeps the last, the real one refuses both',
    (request, real, ours) =>
      real.status === 400 && ours.status === 200 && says(real, 'Multiple entries with same key'),
  ],
  [
    'a label that is empty: the real handler answers 500 when it prints it',
    (request, real, ours) =>
      request.method === 'GET' &&
      real.status === 500 &&
      ours.status === 200 &&
      request.group === 'tensors in every form',
  ],
  [
    'the stand-in store widens a bfloat16 tensor to float in an update',
    (request, real, ours) =>
      request.group === 'updates' &&
      request.method === 'GET' &&
      JSON.stringify(real.body).includes('tensor<float>(patch{},v[4])') &&
      ours.status === 200,
  ],
];

/** The reason why these two may differ; undefined where they must not. */
export function explain(request, real, ours) {
  const document = request.path.split('?')[0];
  const reason = REASONS.find(([, matches]) => matches(request, real, ours))?.[0];
  if (reason !== undefined) {
    if (request.method !== 'GET') differing.add(document);
    return reason;
  }
  return request.method === 'GET' && differing.has(document)
    ? 'read of a document that was stored differently, see above'
    : undefined;
}
