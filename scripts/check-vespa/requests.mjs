/**
 * The requests that are replayed against the emulator and against Vespa's own document/v1 handler, in this order: later
 * ones see what earlier ones stored. A request is `[group, method, path, body?, options?]`; a body that is no string
 * and no Buffer is sent as JSON; `next` in the options follows a continuation to the end.
 */
const kinds = (id) => `/document/v1/ns/kinds/docid/${id}`;
const list = [];
let group = '';
const add = (method, path, body, options) => list.push({ group, method, path, body, ...options });
const put = (id, fields, options) => add('POST', kinds(id), { fields }, options);
const get = (id, query = '') => add('GET', kinds(id) + query);
const update = (id, fields, query = '') => add('PUT', kinds(id) + query, { fields });
/** Stores one field of its own document and reads it back. */
let n = 0;
const roundTrip = (field, value, query = '') => {
  const id = `${field}-${++n}`;
  add('POST', kinds(id), `{"fields":{"${field}":${value}}}`);
  get(id, query);
};

group = 'every type';
for (const [field, value] of [
  ['title', '"plain"'],
  ['title', '"\\u00e6 \\ud83d\\ude00 \\"quoted\\" \\\\ \\/ \\t tab"'],
  ['title', '""'],
  ['title', 'null'],
  ['title', '12'],
  ['title', '1.50'],
  ['title', 'true'],
  ['title', '["a"]'],
  ['title', '{"a":1}'],
  ['title', '"nul \\u0000"'],
  ['title', '"control \\u0001"'],
  ['title', '"lone \\ud800"'],
  ['i', '2147483647'],
  ['i', '-2147483648'],
  ['i', '2147483648'],
  ['i', '1.5'],
  ['i', '1e3'],
  ['i', '"17"'],
  ['i', '"0x1f"'],
  ['i', '" 17"'],
  ['i', '"x"'],
  ['i', '""'],
  ['i', 'true'],
  ['i', '[1]'],
  ['i', '{}'],
  ['l', '9223372036854775807'],
  ['l', '-9223372036854775808'],
  ['l', '9007199254740993'],
  ['l', '9223372036854775808'],
  ['l', '"9007199254740993"'],
  ['l', '1.5'],
  ['l', '"0x1f"'],
  ['l', '"-0x1f"'],
  ['l', '"abc"'],
  ['d', '1.7976931348623157e308'],
  ['d', '5e-324'],
  ['d', '0.1'],
  ['d', '-0.0'],
  ['d', '1e400'],
  ['d', '"2.5"'],
  ['d', '"NaN"'],
  ['d', '"Infinity"'],
  ['d', '"x"'],
  ['d', '123456789012345678901234567890'],
  ['d', 'true'],
  ['f', '0.1'],
  ['f', '3.4028235e38'],
  ['f', '1e39'],
  ['f', '16777217'],
  ['f', '1e-45'],
  ['f', '"1.5f"'],
  ['f', '"x"'],
  ['b', 'true'],
  ['b', 'false'],
  ['b', '"true"'],
  ['b', '"TRUE"'],
  ['b', '1'],
  ['b', '"yes"'],
  ['b', 'null'],
  ['y', '127'],
  ['y', '-128'],
  ['y', '128'],
  ['y', '"12"'],
  ['y', '1.0'],
  ['y', '"0x1f"'],
  ['u', '"http://example.com/a?b=c#d"'],
  ['u', '"not a uri %%"'],
  ['u', '""'],
  ['r', '"AAEC/w=="'],
  ['r', '"AAEC_w"'],
  ['r', '"*"'],
  ['r', '""'],
  ['strings', '["a","b","a"]'],
  ['strings', '[]'],
  ['strings', '["a",null]'],
  ['strings', '"a"'],
  ['strings', '{"a":1}'],
  ['strings', '[1,true,"x"]'],
  ['strings', '["",""]'],
  ['ints', '[1,2,3]'],
  ['ints', '[1,"2"]'],
  ['ints', '[1,2.5]'],
  ['ints', '[[1]]'],
  ['longs', '[9007199254740993,-9223372036854775808]'],
  ['nested', '[["a","b"],["c"],[]]'],
  ['weights', '{"a":1,"b":-2}'],
  ['weights', '{"a":1,"a":5}'],
  ['weights', '{"a":0}'],
  ['weights', '{"a":1.5}'],
  ['weights', '{"a":"7"}'],
  ['weights', '["a"]'],
  ['weights', '{}'],
  ['numbers', '{"1":10,"2":20}'],
  ['numbers', '{"x":10}'],
  ['pairs', '{"a":"x","b":"y"}'],
  ['pairs', '[{"key":"a","value":"x"}]'],
  ['pairs', '[{"value":"x","key":"a"}]'],
  ['pairs', '[{"key":"a"}]'],
  ['pairs', '{"a":null}'],
  ['pairs', '{}'],
  ['pairs', '"a"'],
  ['counts', '{"a":1,"b":"2"}'],
  ['counts', '{"a":"x"}'],
  ['keyed', '{"1":"one","2":"two"}'],
  ['keyed', '{"x":"one"}'],
])
  roundTrip(field, value);

group = 'tensors in every form';
for (const [field, value, query] of [
  ['dense', '[1,2,3]'],
  ['dense', '[1,2,3]', '?format.tensors=long'],
  ['dense', '[1,2,3]', '?format.tensors=short-value'],
  ['dense', '[1,2,3]', '?format.tensors=long-value'],
  ['dense', '[1.5,-2.25,0.1]', '?format.tensors=hex'],
  ['dense', '[1,2,3]', '?format.tensors=hex-value'],
  ['dense', '[1,2,3]', '?format.tensors=nonsense'],
  ['dense', '[1,2,3]', '?format.tensors=hex&format.tensors=long'],
  ['dense', '{"values":[1,2,3]}'],
  ['dense', '{"type":"tensor<float>(x[3])","values":[1,2,3]}'],
  ['dense', '{"type":"tensor<int8>(z{})","values":[1,2,3]}'],
  ['dense', '"3F80000040000000C0400000"'],
  ['dense', '{"values":"3f80000040000000c0400000"}'],
  ['dense', '"010203"'],
  ['dense', '"3f8040004040"'],
  ['dense', '"3FF000000000000040000000000000004008000000000000"'],
  ['dense', '"01020"'],
  ['dense', '"0102030405"'],
  ['dense', '"zz0203"'],
  ['dense', '""'],
  ['dense', '{"values":""}'],
  ['dense', '[1,2]'],
  ['dense', '{"values":[1,2]}'],
  ['dense', '[1,2,3,4]'],
  ['dense', '[]'],
  ['dense', '{"values":[]}'],
  ['dense', '{}'],
  ['dense', 'null'],
  ['dense', '5'],
  ['dense', 'true'],
  ['dense', '[1,"2",3]'],
  ['dense', '[1,"x",3]'],
  ['dense', '[1,null,3]'],
  ['dense', '[1,"NaN","Infinity"]'],
  ['dense', '["-Infinity","inf","nan"]'],
  [
    'dense',
    '{"cells":[{"address":{"x":"0"},"value":1},{"address":{"x":"1"},"value":2},{"address":{"x":"2"},"value":3}]}',
  ],
  ['dense', '{"cells":[{"address":{"x":0},"value":1},{"address":{"x":2},"value":3}]}'],
  ['dense', '{"cells":{"0":1,"1":2,"2":3}}'],
  ['dense', '{"cells":[{"address":{"x":"3"},"value":1}]}'],
  ['dense', '{"cells":[{"address":{"z":"0"},"value":1}]}'],
  ['dense', '{"cells":[{"address":{"x":"0"}}]}'],
  ['dense', '{"cells":[{"value":1}]}'],
  [
    'dense',
    '[{"address":{"x":"0"},"value":1},{"address":{"x":"1"},"value":2},{"address":{"x":"2"},"value":3}]',
  ],
  ['dense', '{"blocks":{"a":[1,2,3]}}'],
  ['dense', '{"0":1,"1":2,"2":3}'],
  ['grid', '[[1,2],[3,4]]'],
  ['grid', '[1,2,3,4]'],
  ['grid', '[[1,2],[3,4]]', '?format.tensors=long'],
  ['grid', '[[0.1,1e300],[-0.0,5e-324]]', '?format.tensors=hex'],
  ['grid', '[[1,2],[3]]'],
  ['grid', '{"cells":[{"address":{"x":"0","y":"1"},"value":7}]}'],
  ['half', '[1,2.0078125,3.14159]'],
  ['half', '[1,2,3.14159]', '?format.tensors=hex'],
  ['half', '"3F8040004049"'],
  ['half', '[0.1,0.3,65504]'],
  ['bytes', '[1,-2,127,-128]'],
  ['bytes', '"01FE7F80"'],
  ['bytes', '"01FE7F80"', '?format.tensors=hex'],
  ['bytes', '[1,2,3,300]'],
  ['bytes', '[1,2,3,1.7]'],
  ['bytes', '"3F8040004040C040"'],
  ['sparse', '{"a":1,"b":2.5}'],
  ['sparse', '{"a":1,"b":2.5}', '?format.tensors=long'],
  ['sparse', '{"a":1,"b":2.5}', '?format.tensors=short-value'],
  ['sparse', '{"a":1,"b":2.5}', '?format.tensors=hex'],
  ['sparse', '{"cells":{"a":1,"b":2}}'],
  ['sparse', '{"cells":[{"address":{"k":"a"},"value":1}]}'],
  ['sparse', '[{"address":{"k":"a"},"value":1}]'],
  ['sparse', '{"cells":{}}'],
  ['sparse', '{"cells":[]}'],
  ['sparse', '{}'],
  ['sparse', '{"cells":1,"blocks":2}'],
  ['sparse', '{"a":"x"}'],
  ['sparse', '{"a":1,"a":2}'],
  ['sparse', '{"a b":1,"":2,"æ":3}'],
  ['sparse', '[1,2]'],
  ['sparse', '{"values":[1,2]}'],
  ['sparse', '{"blocks":{"a":[1]}}'],
  ['sparse', '"0102"'],
  ['pairwise', '{"cells":[{"address":{"a":"x","b":"y"},"value":2},{"address":{"b":"z","a":"x"},"value":3}]}'],
  ['pairwise', '{"cells":[{"address":{"a":"x","b":"y"},"value":2}]}', '?format.tensors=long'],
  ['pairwise', '[{"address":{"a":"x","b":"y"},"value":2}]'],
  ['pairwise', '{"a":1}'],
  ['pairwise', '{"cells":[{"address":{"a":"x"},"value":2}]}'],
  ['mixed', '{"0":[1,2,3,4],"1":[5,6,7,8]}'],
  ['mixed', '{"0":[1,2,3,4],"1":[5,6,7,8]}', '?format.tensors=hex'],
  ['mixed', '{"0":[1,2,3,4]}', '?format.tensors=long'],
  ['mixed', '{"0":[1,2,3,4]}', '?format.tensors=hex-value'],
  ['mixed', '{"0":[1,2,3,4]}', '?format.tensors=short-value'],
  ['mixed', '{"blocks":{"0":[1,2,3,4]}}'],
  ['mixed', '{"blocks":{"0":"3F80400040404080"}}'],
  ['mixed', '{"0":"3F80400040404080"}'],
  [
    'mixed',
    '{"blocks":[{"address":{"patch":"0"},"values":[1,2,3,4]},{"address":{"patch":"1"},"values":"3F80400040404080"}]}',
  ],
  ['mixed', '{"blocks":[{"values":[1,2,3,4],"address":{"patch":"0"}}]}'],
  ['mixed', '{"blocks":[{"values":[1,2,3,4]}]}'],
  ['mixed', '{"blocks":[{"address":{"patch":"0"}}]}'],
  ['mixed', '{"cells":[{"address":{"patch":"a","v":"2"},"value":9}]}'],
  ['mixed', '{"cells":{"a":1}}'],
  ['mixed', '{"0":[1,2]}'],
  ['mixed', '{"0":[1,2,3,4,5]}'],
  ['mixed', '{"0":"3F80"}'],
  ['mixed', '{"0":3}'],
  ['mixed', '[1,2,3,4]'],
  ['mixed', '{}'],
  ['mixed', '{"blocks":{}}'],
  ['mixed', '{"type":"tensor<bfloat16>(patch{},v[4])","blocks":{"0":[1,2,3,4]}}'],
  ['mixed8', '{"0":"01FF7F80"}'],
  ['mixed8', '{"0":[1,-1,127,-128]}', '?format.tensors=hex'],
  ['mixed8', '{"0":"0102030405"}'],
  ['mixed3', '{"blocks":[{"address":{"a":"x","b":"y"},"values":[1,2]}]}'],
  ['mixed3', '{"blocks":[{"address":{"a":"x","b":"y"},"values":[1,2]}]}', '?format.tensors=hex'],
  ['mixed3', '[{"address":{"a":"x","b":"y"},"values":[1,2]}]'],
  ['mixed3', '{"blocks":{"x":[1,2]}}'],
  ['scalar', '{"values":[5]}'],
  ['scalar', '{"cells":[{"address":{},"value":5}]}'],
  ['scalar', '[5]'],
])
  roundTrip(field, value, query);

group = 'put';
put('p1', {
  title: 'one',
  i: 1,
  l: 10,
  f: 1.5,
  tag: 'a',
  strings: ['x', 'y'],
  weights: { a: 1 },
  pairs: { k: 'v' },
});
get('p1');
put('p1', { title: 'two' });
get('p1');
put('p2', {});
get('p2');
put('p3', { nope: 1 });
put('p3', { title: 'x', nope: { a: [1] } });
add('POST', kinds('p4'), {
  fields: { title: 'x' },
  put: 'id:ns:kinds::other',
  id: 'id:x:y::z',
  extra: [1, { a: 2 }],
});
get('p4');
add('POST', kinds('p5'), {});
add('POST', kinds('p5'), { fields: [] });
add('POST', kinds('p5'), { fields: null });
add('POST', kinds('p5'), { fields: 'x' });
add('POST', kinds('p5'), '');
add('POST', kinds('p5'), undefined);
add('POST', kinds('p5'), '[]');
add('POST', kinds('p5'), 'null');
add('POST', kinds('p5'), '"text"');
add('POST', kinds('p5'), '{"fields":{"title":"x"}} trailing');
add('POST', kinds('p5'), '{"fields":{"title":"x"}}{}');
add('POST', kinds('p5'), '{"fields":{"title":"x"');
add('POST', kinds('p5'), '{"fields":{"title":"x"}');
add('POST', kinds('p5'), '{"fields":{"title":x}}');
add('POST', kinds('p5'), '{"fields":{"title":"x",}}');
add('POST', kinds('p5'), '{fields:{}}');
add('POST', kinds('p5'), '{"fields":{"i":01}}');
add('POST', kinds('p5'), '{"fields":{"i":+1}}');
add('POST', kinds('p5'), '{"fields":{"title":"a\nb"}}');
add('POST', kinds('p5'), '{"fields":{"title":"\\q"}}');
add('POST', kinds('p5'), Buffer.from([0x7b, 0x22, 0xff, 0xfe]));
get('p5');
add('POST', kinds('p6'), { create: true, fields: { title: 'x' } });
add('POST', kinds('p6'), { create: 'yes', fields: { title: 'x' } });
add('POST', kinds('p6'), { condition: 1, fields: { title: 'x' } });
add('POST', kinds('p6'), { condition: null, fields: { title: 'x' } });
add('POST', kinds('p7'), { fields: { title: 'a' } }, { gzip: true });
get('p7');
add('POST', kinds('p8?dryRun=true'), 'not json');
get('p8');
add('GET', kinds('p8?dryRun=true'));
add('POST', '/document/v1/ns/unknown/docid/a', { fields: {} });
add('GET', '/document/v1/ns/unknown/docid/a');
add('PUT', '/document/v1/ns/unknown/docid/a', { fields: {} });
add('DELETE', '/document/v1/ns/unknown/docid/a');
add('POST', kinds('p9?timeout=abc'), { fields: {} });
add('POST', kinds('p9?timeout='), { fields: {} });
add('POST', kinds('p9?timeout=10s&route=default&tracelevel=0'), { fields: {} });
add('POST', kinds('p9?create=maybe'), { fields: {} });
add('POST', kinds('p9?tracelevel=x'), { fields: {} });
add('POST', kinds('p9?unknown=1'), { fields: {} });
add(
  'POST',
  kinds('p10'),
  { fields: { title: 'a'.repeat(100) } },
  { headers: { 'content-type': 'text/plain' } },
);

group = 'get';
get('p1', '?fieldSet=kinds:title');
get('p1', '?fieldSet=kinds:title,i');
get('p1', '?fieldSet=[id]');
get('p1', '?fieldSet=[all]');
get('p1', '?fieldSet=[none]');
get('p1', '?fieldSet=[document]');
get('p1', '?fieldSet=kinds:[document]');
get('p1', '?fieldSet=');
get('p1', '?fieldSet');
get('p1', '?cluster=store');
get('p1', '?cluster=nope');
get('p1', '?cluster=');
get('absent');
get('p1?tracelevel=x');
add('HEAD', kinds('p1'));

group = 'ids and paths';
for (const id of [
  'a+b',
  'a%2Bb',
  'a%20b',
  'a%2Fb',
  'a/b',
  'a//b',
  'a/',
  'a:b::c',
  '%C3%A6',
  '%F0%9F%98%80',
  '%E6',
  '%',
  '%zz',
  'a%00b',
  'a%01b',
  'a%0Ab',
  '.',
  '..',
  '%2E',
  '%2E%2E',
  'a/../b',
  'a/./b',
  'a/..',
  '...',
  'a%2F..%2Fb',
  'a;b',
  'a;b=c/d',
  "a'b",
  'a%22b',
  'a%5Cb',
  'a%3Fb',
  'a%23b',
  'a%25b',
  'x'.repeat(2000),
]) {
  add('POST', kinds(id), { fields: { title: 'odd' } });
  get(id);
}
for (const path of [
  '/document/v1/ns/kinds/group/g1/a',
  '/document/v1/ns/kinds/group/a%20b/a',
  "/document/v1/ns/kinds/group/it's/a",
  '/document/v1/ns/kinds/group/a%2Fb/x',
  '/document/v1/ns/kinds/group/a:b/x',
  '/document/v1/ns/kinds/group/a,b/x',
  '/document/v1/ns/kinds/group/a=b/x',
  '/document/v1/ns/kinds/group/%01/x',
  '/document/v1/ns/kinds/number/17/a',
  '/document/v1/ns/kinds/number/0/a',
  '/document/v1/ns/kinds/number/007/a',
  '/document/v1/ns/kinds/number/9223372036854775807/a',
  '/document/v1/ns/kinds/number/9223372036854775808/a',
  '/document/v1/ns/kinds/number/18446744073709551616/a',
  '/document/v1/ns/kinds/number/-1/a',
  '/document/v1/ns/kinds/number/abc/a',
  '/document/v1/n%20s/kinds/docid/a',
  '/document/v1/n:s/kinds/docid/a',
  '/document/v1/n%2Fs/kinds/docid/a',
  '/document/v1//kinds/docid/a',
  '/document/v1/ns/kinds/docid//a',
  '//document/v1/ns/kinds/docid/a',
  '/document/v1/ns/kin%64s/docid/a',
  '/document/v1/ns/kinds/doc%69d/a',
  '/document/v1/ns/kinds/nothing/a',
  '/document/v1/ns/kinds/a',
  '/document/v1/ns/kinds',
  '/document/v1/ns',
  '/document/v1/ns/kinds/group/',
  '/document/v1/ns/kinds/group',
  '/document/v1/ns/kinds/number/',
  '/document/v1/ns/kinds/docid/%zz',
  '/document/v1/../v1/ns/kinds/docid/a',
  '/document/v1/%2e%2e/v1/ns/kinds/docid/a',
]) {
  add('POST', path, { fields: { title: 'path' } });
  add('GET', path);
}
add('PATCH', kinds('a'), {});
add('OPTIONS', kinds('a'));
add('OPTIONS', '/document/v1/');
add('PUT', '/document/v1/', {});
add('PATCH', '/document/v1/ns/kinds/docid/', {});
add('GET', '/document/v1/ns/kinds/docid?cluster=store&wantedDocumentCount=1&selection=false');
add('GET', '/document/v2/ns/kinds/docid/a');
add('GET', '/nothing/here');

group = 'conditions';
put('c1', { title: 'one', i: 5, tag: 'a' });
const conditional = (method, id, query, fields) =>
  add(method, kinds(id) + query, method === 'DELETE' ? undefined : { fields: fields ?? { tag: 'set' } });
const q = (condition) => `?condition=${encodeURIComponent(condition)}`;
conditional('POST', 'c1', q('kinds.i==5'), { title: 'one', i: 6, tag: 'a' });
conditional('POST', 'c1', q('kinds.i==5'));
conditional('POST', 'c-absent', q('kinds.i==5'));
conditional('POST', 'c-absent', `${q('kinds.i==5')}&create=true`);
get('c-absent');
conditional('POST', 'c1', `${q('kinds.i==99')}&create=true`);
conditional('POST', 'c1', q('kinds.i==='));
conditional('POST', 'c1', q('kinds.nope==1'));
conditional('POST', 'c1', q('i==6'));
conditional('POST', 'c1', q('other.year==6'));
conditional('POST', 'c1', q('true'));
conditional('POST', 'c1', q('false'));
conditional('POST', 'c1', '?condition=');
add('POST', kinds('c1'), { condition: 'kinds.i==1', fields: { i: 1 } });
add('POST', kinds(`c1${q('kinds.tag=="set"')}`), { condition: 'kinds.i==1', fields: { i: 1, tag: 'b' } });
update('c1', { i: { increment: 1 } }, q('kinds.i==1'));
update('c1', { i: { increment: 1 } }, q('kinds.i==1'));
update('c-none', { i: { assign: 1 } }, q('kinds.i==1'));
update('c-none', { i: { assign: 1 } }, `${q('kinds.i==1')}&create=true`);
get('c-none');
conditional('DELETE', 'c1', q('kinds.i==1'));
conditional('DELETE', 'c1', q('kinds.i==2'));
conditional('DELETE', 'c1', q('kinds.i==2'));
add('DELETE', kinds('c1'));
add('DELETE', kinds('c1?dryRun=true'));
add('DELETE', kinds('c1?timeout=x'));

group = 'updates';
const seed = {
  title: 'start',
  i: 10,
  l: 100,
  d: 1.5,
  f: 2.5,
  b: true,
  y: 5,
  strings: ['a', 'b', 'c'],
  ints: [1, 2, 3],
  weights: { a: 1, b: 2 },
  pairs: { k: 'v', m: 'w' },
  counts: { a: 1, b: 2 },
  dense: [1, 2, 3],
  sparse: { a: 1, b: 2 },
  mixed: { 0: [1, 2, 3, 4], 1: [5, 6, 7, 8] },
  pairwise: {
    cells: [
      { address: { a: 'x', b: 'y' }, value: 1 },
      { address: { a: 'z', b: 'y' }, value: 2 },
    ],
  },
};
let u = 0;
const updated = (fields, query = '') => {
  const id = `u${++u}`;
  add('POST', kinds(id), { fields: seed });
  add('PUT', kinds(id) + query, typeof fields === 'string' ? fields : { fields });
  get(id);
};
for (const fields of [
  { title: { assign: 'new' } },
  { title: { assign: null } },
  { title: { assign: '' } },
  { title: { assign: ['x'] } },
  { title: { foo: 1 } },
  { title: 'x' },
  { title: {} },
  { title: { increment: 1 } },
  { nope: { assign: 1 } },
  { i: { increment: 5 } },
  { i: { increment: 1.7 } },
  { i: { decrement: 15 } },
  { i: { multiply: 2 } },
  { i: { divide: 4 } },
  { i: { divide: 0 } },
  { i: { increment: 'x' } },
  { i: { increment: 2147483647 } },
  { i: { assign: 1.5 } },
  { i: { assign: 7, increment: 1 } },
  { l: { increment: 1 } },
  { l: { assign: 5 } },
  { d: { multiply: 1.1 } },
  { f: { increment: 0.1 } },
  { y: { increment: 1 } },
  { b: { assign: false } },
  { b: { increment: 1 } },
  { strings: { add: ['d'] } },
  { strings: { add: 'd' } },
  { strings: { add: [1] } },
  { strings: { remove: ['b'] } },
  { strings: { remove: ['zz'] } },
  { strings: { assign: ['z'] } },
  { strings: { match: { element: 1, assign: 'B' } } },
  { strings: { match: { element: 9, assign: 'B' } } },
  { ints: { match: { element: 0, increment: 4 } } },
  { ints: { remove: [2] } },
  { weights: { add: { c: 3 } } },
  { weights: { add: { a: 9 } } },
  { weights: { add: ['c'] } },
  { weights: { remove: { a: 0 } } },
  { weights: { match: { element: 'a', increment: 4 } } },
  { weights: { match: { element: 'zz', increment: 4 } } },
  { weights: { match: { increment: 4, element: 'a' } } },
  { pairs: { assign: { z: '1' } } },
  { pairs: { match: { element: 'k', assign: 'V' } } },
  { pairs: { match: { element: 'new', assign: 'V' } } },
  { pairs: { add: { z: '1' } } },
  { counts: { match: { element: 'a', increment: 1 } } },
  { 'pairs{k}': { assign: 'V' } },
  { 'pairs{new}': { assign: 'N' } },
  { 'pairs{k}': { remove: 0 } },
  { 'counts{a}': { increment: 5 } },
  { 'strings[0]': { assign: 'A' } },
  { 'strings[7]': { assign: 'A' } },
  { 'strings[1]': { remove: 0 } },
  { 'ints[0]': { increment: 3 } },
  { 'ints[0]': { multiply: 3 } },
  { 'strings[x]': { assign: 'A' } },
  { 'nope{k}': { assign: 'V' } },
  { 'weights{a}': { assign: 7 } },
  { 'weights{a}': { increment: 7 } },
  { 'weights{new}': { assign: 7 } },
  { strings: { foo: 1 }, title: { assign: 'x' } },
  { dense: { assign: [4, 5, 6] } },
  { dense: { modify: { operation: 'replace', cells: [{ address: { x: '1' }, value: 9 }] } } },
  { dense: { modify: { operation: 'add', cells: [{ address: { x: '1' }, value: 9 }] } } },
  { dense: { modify: { operation: 'multiply', cells: { 2: 3 } } } },
  { dense: { modify: { operation: 'replace', cells: [{ address: { x: '7' }, value: 9 }] } } },
  { dense: { modify: { operation: 'nope', cells: [{ address: { x: '1' }, value: 9 }] } } },
  { dense: { modify: { cells: [{ address: { x: '1' }, value: 9 }] } } },
  { dense: { modify: { operation: 'replace' } } },
  { dense: { add: { cells: [{ address: { x: '1' }, value: 9 }] } } },
  { dense: { remove: { addresses: [{ x: '1' }] } } },
  {
    sparse: {
      add: {
        cells: [
          { address: { k: 'c' }, value: 3 },
          { address: { k: 'a' }, value: 8 },
        ],
      },
    },
  },
  { sparse: { add: { cells: { c: 3 } } } },
  { sparse: { add: { cells: [] } } },
  { sparse: { remove: { addresses: [{ k: 'a' }] } } },
  { sparse: { remove: { addresses: [{ k: 'zz' }] } } },
  { sparse: { remove: { addresses: [] } } },
  { sparse: { remove: { addresses: [{ nope: 'a' }] } } },
  { sparse: { modify: { operation: 'add', cells: { a: 10, zz: 1 } } } },
  { sparse: { modify: { operation: 'add', create: true, cells: { a: 10, zz: 1 } } } },
  { sparse: { modify: { operation: 'multiply', create: true, cells: { zz: 7 } } } },
  { sparse: { modify: { operation: 'multiply', create: 'x', cells: { zz: 7 } } } },
  { mixed: { add: { blocks: { 2: [9, 9, 9, 9] } } } },
  { mixed: { add: { blocks: { 0: [9, 9, 9, 9] } } } },
  { mixed: { remove: { addresses: [{ patch: '0' }] } } },
  { mixed: { remove: { addresses: [{ patch: '0', v: '1' }] } } },
  { mixed: { modify: { operation: 'replace', cells: [{ address: { patch: '0', v: '3' }, value: -1 }] } } },
  { mixed: { modify: { operation: 'multiply', blocks: { 1: [2, 2, 2, 2] } } } },
  {
    mixed: {
      modify: { operation: 'replace', create: true, cells: [{ address: { patch: '9', v: '3' }, value: -1 }] },
    },
  },
  { pairwise: { remove: { addresses: [{ b: 'y' }] } } },
  { pairwise: { remove: { addresses: [{ a: 'x', b: 'y' }] } } },
  { title: { modify: { operation: 'replace', cells: {} } } },
])
  updated(fields);
updated({ title: { assign: 'n' }, i: { increment: 1 }, strings: { add: ['e'] } });
updated('{"fields":{}}');
updated('{}');
updated('{"fields":{"title":{"assign":"x"}');
updated('{"fields":[]}');
updated('{"update":"id:a:b::c","fields":{"i":{"assign":3}},"create":true}');
update('u-absent', { title: { assign: 'x' } });
get('u-absent');
update('u-absent', { title: { assign: 'x' }, i: { increment: 2 } }, '?create=true');
get('u-absent');
add('PUT', kinds('u-created'), {
  create: true,
  fields: { strings: { add: ['x'] }, weights: { add: { a: 1 } }, sparse: { add: { cells: { a: 1 } } } },
});
get('u-created');
add('PUT', kinds('u1?dryRun=true'), 'x');

group = 'visits';
// The in-memory store behind the real handler never ends a visit that meets some of the odd documents above, so visits
// begin from an empty store, and from documents of their own.
for (const path of new Set(list.filter((r) => r.method !== 'GET').map((r) => r.path.split('?')[0])))
  add('DELETE', path);
put('plain', { title: 'plain', tag: 'none', i: 5, strings: ['a', 'b'], l: '9007199254740993', b: true });
put('tensors', { tag: 'none', dense: [1, 2, 3], mixed: { 0: [1, 2, 3, 4] }, sparse: { a: 1 } });
for (let i = 0; i < 30; i++)
  add('POST', `/document/v1/v/other/docid/d${i}`, { fields: { title: `t${i % 3}`, year: 1990 + i } });
for (let i = 0; i < 5; i++) add('POST', `/document/v1/v/other/number/7/n${i}`, { fields: { year: i } });
for (let i = 0; i < 5; i++) add('POST', `/document/v1/v/other/group/g/m${i}`, { fields: { year: 100 + i } });
add('POST', '/document/v1/w/other/docid/w1', { fields: { title: 'elsewhere' } });
const visit = (path, query, options) => add('GET', `/document/v1/${path}?${query}`, undefined, options);
const sel = (text) => `selection=${encodeURIComponent(text)}`;
visit('', '');
visit('', 'cluster=store&wantedDocumentCount=100', { next: 30 });
visit('', 'cluster=*');
visit('', 'cluster=store&wantedDocumentCount=150', { next: 30 });
visit('v/other/docid/', '', { next: 60 });
visit('v/other/docid/', 'wantedDocumentCount=1024');
visit('v/other/docid', 'wantedDocumentCount=10&concurrency=4', { next: 50 });
visit('v/other/docid/', 'wantedDocumentCount=0');
visit('v/other/docid/', 'wantedDocumentCount=x');
visit('v/other/docid/', 'concurrency=0');
visit('v/other/docid/', 'concurrency=-1');
visit('v/unknown/docid/', '');
visit('v/other/docid/', 'cluster=nope');
visit('v/other/docid/', 'bucketSpace=nope');
visit('', 'cluster=store&bucketSpace=nope');
visit('', 'cluster=store&bucketSpace=global&wantedDocumentCount=100');
visit('v/other/docid/', 'dryRun=true');
visit('v/other/docid/', 'continuation=garbage');
visit('v/other/docid/', 'continuation=AAAA');
visit('v/other/docid/', 'continuation=');
visit('v/other/docid/', 'slices=2');
visit('v/other/docid/', 'sliceId=0');
visit('v/other/docid/', 'slices=0&sliceId=0');
visit('v/other/docid/', 'slices=2&sliceId=2');
visit('v/other/docid/', 'slices=3&sliceId=0&wantedDocumentCount=5', { next: 100 });
visit('v/other/docid/', 'slices=3&sliceId=1&wantedDocumentCount=5', { next: 100 });
visit('v/other/docid/', 'slices=3&sliceId=2&wantedDocumentCount=5', { next: 100 });
visit('v/other/docid/', 'fieldSet=other:title&wantedDocumentCount=1000');
visit('v/other/docid/', 'fieldSet=[id]&wantedDocumentCount=1000');
visit('v/other/docid/', 'fieldSet=nope:title');
visit('v/other/docid/', 'fieldSet=other:nope');
visit('v/other/docid/', 'fieldSet=nonsense');
visit('v/other/docid/', 'fromTimestamp=2&toTimestamp=1');
visit('v/other/docid/', 'fromTimestamp=x');
visit('v/other/docid/', 'fromTimestamp=18446744073709551615&wantedDocumentCount=100');
visit('v/other/docid/', 'toTimestamp=1&wantedDocumentCount=100');
visit('v/other/docid/', 'timeout=x');
visit('v/other/number/7/', 'wantedDocumentCount=100');
visit('v/other/number/8/', 'wantedDocumentCount=100');
visit('v/other/number/x/', 'wantedDocumentCount=100');
visit('v/other/group/g/', 'wantedDocumentCount=100');
visit('v/other/group/g/', 'wantedDocumentCount=2&stream=true');
visit("v/other/group/it's/", 'wantedDocumentCount=100');
visit('ns/kinds/docid/', `${sel("kinds.tag=='set'")}&wantedDocumentCount=10000&format.tensors=hex`);
visit('v/other/docid/', 'stream=true');
visit('v/other/docid/', 'stream=true&wantedDocumentCount=5', { next: 100 });
const jsonl = { headers: { accept: 'application/jsonl' } };
visit('v/other/docid/', 'stream=true', jsonl);
visit('v/other/docid/', 'stream=true&wantedDocumentCount=7&concurrency=1', jsonl);
visit('v/other/docid/', 'stream=true&slices=2&sliceId=1', jsonl);
visit('v/other/docid/', 'stream=false&wantedDocumentCount=3', jsonl);
visit('v/other/docid/', 'stream=true', { headers: { accept: 'application/json;q=0.5, application/jsonl' } });
visit('v/other/docid/', 'stream=true', { headers: { accept: 'application/jsonl;q=0.5, application/json' } });
visit('v/other/docid/', 'stream=true', { headers: { accept: '*/*' } });
visit('v/other/docid/', 'stream=true', { headers: { accept: 'text/html' } });
visit('v/other/docid/', 'stream=true', { headers: { accept: ';;;' } });
visit('v/unknown/docid/', 'stream=true', jsonl);
visit('v/other/docid/', `stream=true&${sel('other.year ==')}`, jsonl);
visit('ns/kinds/docid/', 'stream=true&format.tensors=hex&selection=kinds.tag%3D%3D%22none%22', jsonl);

group = 'selections';
for (const text of [
  'true',
  'false',
  'other',
  'kinds',
  'nope',
  'other and true',
  'other or kinds',
  'not other',
  'other.year == 1995',
  'other.year != 1995',
  'other.year < 1995',
  'other.year <= 1995',
  'other.year > 2015',
  'other.year >= 2015',
  'other.year == 1995 or other.year == 1996',
  'other.year > 1992 and other.year < 1995',
  'not other.year > 3',
  'other.year = 1995',
  'other.year = "199*"',
  'other.year =~ "^199"',
  'other.title == "t1"',
  "other.title == 't1'",
  'other.title = "t*"',
  'other.title = "?1"',
  'other.title =~ "t[12]"',
  'other.title =~ "1"',
  'other.title != "t1"',
  'other.title == null',
  'other.title != null',
  'other.title',
  'not other.title',
  'other.year + 1 == 1996',
  'other.year % 2 == 0',
  'other.year * 2 > 4030',
  'other.year - 1990 < 2',
  'other.year / 2 == 1000',
  '(other.year == 1995)',
  '((other.year == 1995) or (other.year == 2000)) and other.title == "t2"',
  'other.year == 1995 or other.year == 2000 and other.title == "nope"',
  'id == "id:v:other::d3"',
  'id = "id:v:other::d1*"',
  'id =~ "d[12]$"',
  'id.namespace == "v"',
  'id.type == "other"',
  'id.user == 7',
  'id.group == "g"',
  'id.specific == "d3"',
  'id.scheme == "id"',
  'other.title.lowercase() == "t1"',
  'other.title.uppercase() == "T1"',
  'other.year.abs() == 1995',
  'kinds.i == 5',
  'kinds.strings == "a"',
  'kinds.strings[0] == "a"',
  'kinds.pairs{k} == "v"',
  'kinds.weights{a} == 1',
  'kinds.weights == "a"',
  'kinds.dense == 1',
  'kinds.b == true',
  'kinds.l > 9007199254740992',
  'other.nope == 1',
  'other.year ==',
  'other.year == == 1',
  '(other.year == 1',
  'year == 1995',
  '"abc"',
  '1',
  '0',
  '1 == 1',
  '1 < 2',
  'null',
  'other.year == "1995"',
  'other.year < "x"',
  "other.title == 't\\'1'",
  '',
  'OTHER',
  'other AND NOT other.year > 1990',
  'other.year == 0x7CB',
  'other.year == 1995.0',
  'now() > 1',
  'id.order() == 1',
  'id.bucket == 1',
]) {
  visit('', `cluster=store&wantedDocumentCount=10000&${sel(text)}`);
}

group = 'mass operations';
const mass = '/document/v1/v/other/docid/';
add('DELETE', mass);
add('DELETE', `${mass}?cluster=store`);
add('DELETE', `${mass}?${sel('true')}`);
add('DELETE', `${mass}?cluster=store&${sel('true')}&fieldSet=x`);
add('DELETE', `${mass}?cluster=store&${sel('true')}&wantedDocumentCount=1`);
add('DELETE', `${mass}?cluster=store&${sel('true')}&concurrency=1`);
add('DELETE', `${mass}?cluster=store&${sel('true')}&dryRun=true`);
add('DELETE', `${mass}?cluster=store&${sel('nope nope')}`);
add('DELETE', `${mass}?cluster=store&${sel('true')}&timeChunk=x`);
add('DELETE', `${mass}?cluster=store&${sel('other.year == 1995')}`);
add('GET', '/document/v1/v/other/docid/d5');
add('PUT', `${mass}?cluster=store&${sel('other.title == "t1"')}`, {
  fields: { title: { assign: 'changed' } },
});
add('PUT', `${mass}?cluster=store&${sel('true')}`, { fields: { nope: { assign: 1 } } });
add('PUT', `${mass}?cluster=store`, { fields: {} });
add('PUT', `${mass}?${sel('true')}`, { fields: {} });
add('PUT', `${mass}?cluster=store&${sel('true')}`, 'x');
add('POST', `${mass}?cluster=store&${sel('true')}`);
add('POST', `${mass}?cluster=store&${sel('true')}&destinationCluster=nope`);
visit('v/other/docid/', `wantedDocumentCount=1000&${sel('other.title == "changed"')}`);
add('DELETE', `/document/v1/?cluster=store&${sel('other and id.user == 7')}`);
add('DELETE', `/document/v1/v/other/group/g/?cluster=store&${sel('true')}`);
visit('v/other/docid/', 'wantedDocumentCount=1000');
add('DELETE', `/document/v1/?cluster=store&${sel('other')}`);
visit('v/other/docid/', 'wantedDocumentCount=1000');

group = 'sizes';
add('POST', kinds('big'), { fields: { title: 'x'.repeat(3_000_000) } }, { quiet: true });
get('big?fieldSet=kinds:i');
add('POST', kinds('huge'), Buffer.alloc(100 * 1024 * 1024 + 1, 'a'), { quiet: true });
add('POST', kinds('zeros'), Buffer.alloc(100 * 1024 * 1024 + 1, 'a'), { gzip: true, quiet: true });

export const requests = list;
