/** `ottla produce` and `ottla consume` in this process, against a broker in it: what goes in, what comes out, exit codes. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { paced } from '../../cli/produce.ts'
import { Progress } from '../../cli/progress.ts'
import { cli } from './run-cli.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker()
})

after(() => broker.stop())

const run = (input: readonly string[], ...args: string[]) =>
  cli([...args, '--bootstrap', broker.bootstrap], input)

const read = (...args: string[]) => run([], 'consume', ...args, '--from', 'earliest', '--no-follow')

test('lines go in and come out', async () => {
  const written = await run(['a', '', 'c'], 'produce', 'lines', '--partition', '0')
  assert.deepEqual(written, { code: 0, out: '', err: '3 records written\n' })
  assert.deepEqual(await read('lines'), { code: 0, out: 'a\n\nc\n', err: '' })
})

test('keys, headers, formats, codecs', async () => {
  const options = ['--key-separator', ':', '--header', 'h=1', '--compression', 'gzip', '--quiet']
  const written = await run(['k1:v:1', 'k2:v2'], 'produce', 'keys', ...options)
  assert.deepEqual(written, { code: 0, out: '', err: '' })
  const format = ['--format', '%t %p %o %k=%v %h %%\\t\\n']
  const { out } = await read('keys', ...format)
  assert.equal(out, 'keys 0 0 k1=v:1 h=1 %\t\nkeys 0 1 k2=v2 h=1 %\t\n')
  assert.equal((await read('keys', '--header', 'h=2')).out, '')
})

test('JSON in, JSON out', async () => {
  const line = { key: 'k', value: { a: 1 }, headers: { x: 'y' }, timestampMs: 0 }
  await run([JSON.stringify(line), '{"value":null}'], 'produce', 'json', '--json')
  const { out } = await read('json', '--json', '-n', '1')
  assert.deepEqual(JSON.parse(out), {
    topic: 'json',
    partition: 0,
    offset: 0,
    time: '1970-01-01T00:00:00.000Z',
    key: 'k',
    value: '{"a":1}',
    headers: [{ key: 'x', value: 'y' }],
  })
})

test('it starts at an offset or a time, and ends after so many', async () => {
  await run(['a', 'b', 'c', 'd'], 'produce', 'places')
  const from = async (place: string) =>
    (await run([], 'consume', 'places', '--no-follow', '--from', place)).out
  assert.equal(await from('2'), 'c\nd\n')
  assert.equal(await from('2000-01-01'), 'a\nb\nc\nd\n')
  assert.equal(await from('latest'), '')
  assert.equal((await read('places', '-n', '2')).out, 'a\nb\n')
})

test('wrong usage is told before anything is sent, with the line where it is one', async () => {
  for (const [args, reason] of [
    [['produce', 't', '--acks', '2'], /--acks is '2'/],
    [['produce', 't', '--compression', 'zip'], /compression is 'zip'/],
    [['produce', 't', '--json'], /line 1 is no JSON/],
    [['produce', 't', '--key-separator', ';'], /line 1 has no ';'/],
    [['produce', 't', '--whole'], /--whole needs files/],
    [['produce', 't', '/no/such/file'], /cannot read '\/no\/such\/file': there is no such file/],
    [['consume', 't', '--from', 'soon'], /--from is 'soon'/],
    [['consume', 't', '--to', 'latest'], /--to is 'latest'/],
    [['consume', 't', '--group', 'g', '--from', '3'], /ottla group reset g/],
    [['consume', 't', '--group', 'g', '--partition', '0'], /does not go with --group/],
  ] as const) {
    const { code, err } = await run(['text'], ...args)
    assert.equal(code, 2, err)
    assert.match(err, reason)
  }
})

test('a topic that does not exist is named', async () => {
  const { code, err } = await read('nowhere')
  assert.equal(code, 1)
  assert.match(err, /topic 'nowhere'/)
})

test('files are read line by line, or whole as they are', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-cli-'))
  try {
    const [text, bytes] = [join(directory, 'text'), join(directory, 'bytes')]
    writeFileSync(text, 'k;one\nk;two\n')
    writeFileSync(bytes, Buffer.from([0xff, 0x0a, 0x00]))
    const written = await run([], 'produce', 'files', text, text, '--key-separator', ';')
    assert.deepEqual([written.code, written.err], [0, '4 records written\n'])
    assert.equal((await read('files')).out, 'one\ntwo\none\ntwo\n')
    await run([], 'produce', 'whole', bytes, '--whole')
    const [line] = (await read('whole', '--json')).out.split('\n')
    assert.equal(JSON.parse(line!).valueBase64, '/woA')
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('what is printed as JSON goes in again as it was', async () => {
  const lines = [
    { key: 'k', value: 'v', headers: [{ key: 'h', valueBase64: '/w==' }], timestampMs: 1000 },
    { key: null, value: null, headers: { a: 'b', n: null } },
    { keyBase64: '//8=', value: '' },
  ]
  await run(
    lines.map(line => JSON.stringify(line)),
    'produce',
    'there',
    '--json',
  )
  const there = (await read('there', '--json')).out
  await run(there.trimEnd().split('\n'), 'produce', 'back', '--json')
  const back = (await read('back', '--json')).out
  assert.equal(back, there.replaceAll('"there"', '"back"'))
  assert.match(there, /"valueBase64":"\/w=="/)
})

test('it ends before an offset or a time, and shows only records with the headers asked for', async () => {
  const record = (value: number, headers = {}) =>
    JSON.stringify({ value: String(value), headers, timestampMs: value * 1000 })
  const lines = [record(1), record(2, { h: 'x' }), record(3, { h: 'y' }), record(4)]
  await run(lines, 'produce', 'spans', '--json')
  const consume = async (...args: string[]) =>
    (await run([], 'consume', 'spans', '--from', 'earliest', ...args)).out
  assert.equal(await consume('--to', '2'), '1\n2\n')
  assert.equal(await consume('--to', '1970-01-01T00:00:03Z'), '1\n2\n')
  assert.equal(await consume('--to', '2100-01-01'), '1\n2\n3\n4\n')
  assert.equal(await consume('--to', '99', '--no-follow'), '1\n2\n3\n4\n')
  assert.equal(await consume('--to', '0'), '')
  assert.equal(await consume('--no-follow', '--header', 'h'), '2\n3\n')
  assert.equal(await consume('--no-follow', '--header', 'h=y'), '3\n')
  const recent = await run([], 'consume', 'spans', '--from', '1d', '--no-follow')
  assert.equal(recent.out, '')
})

test('a member of a group goes on where the last one stopped', async () => {
  await run(['a', 'b', 'c'], 'produce', 'shared')
  const member = ['consume', 'shared', '--group', 'g', '--from', 'earliest']
  assert.equal((await run([], ...member, '-n', '2')).out, 'a\nb\n')
  assert.equal((await run([], ...member, '--no-follow')).out, 'c\n')
  assert.deepEqual(await run([], ...member, '--no-follow'), { code: 0, out: '', err: '' })
})

test('Ctrl-C ends a follower in order', async () => {
  await run(['a'], 'produce', 'followed')
  const controller = new AbortController()
  const ended = await cli(
    ['consume', 'followed', '--from', 'earliest', '--bootstrap', broker.bootstrap],
    [],
    { interrupted: () => controller.signal, out: () => controller.abort() },
  )
  assert.equal(ended.code, 0)
})

test('a rate is kept from the start on, and lost time is caught up', async () => {
  let nowMs = 0
  const waits: number[] = []
  async function* source() {
    yield* [1, 2, 3]
    nowMs += 600
    yield* [4, 5]
  }
  const wait = async (ms: number) => {
    waits.push(ms)
    nowMs += ms
  }
  const seen: number[] = []
  for await (const one of paced(source(), 10, { nowMs: () => nowMs, wait })) seen.push(one)
  assert.deepEqual(seen, [1, 2, 3, 4, 5])
  assert.deepEqual(waits, [100, 100])
})

test('long work is shown once a second, where a person looks, and taken away at the end', async () => {
  const shown: string[] = []
  const terminal = { nowMs: 0 }
  const progress = new Progress(
    {
      out: () => {},
      err: () => {},
      isInteractive: false,
      ask: async () => '',
      lines: () => assert.fail(),
      status: text => shown.push(text),
    },
    () => terminal.nowMs,
  )
  progress.step(() => assert.fail('not yet'))
  terminal.nowMs = 1000
  progress.step(() => 'one')
  terminal.nowMs = 1999
  progress.step(() => assert.fail('not yet'))
  progress.end()
  progress.end()
  assert.deepEqual(shown, ['one', ''])
})
