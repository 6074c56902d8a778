/** `ottla produce` and `ottla consume` in this process, against a broker in it: what goes in, what comes out, exit codes. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { runCli } from '../../cli/main.ts'
import { Client } from '../../client/client.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker()
})

after(() => broker.stop())

async function run(input: readonly string[], ...args: string[]) {
  let [out, err] = ['', '']
  async function* lines() {
    yield* input
  }
  const code = await runCli([...args, '--bootstrap', broker.bootstrap], {
    terminal: {
      out: text => {
        out += text
      },
      err: text => {
        err += text
      },
      isInteractive: false,
      ask: () => assert.fail('nobody is asked'),
      lines,
    },
    openAdmin: () => assert.fail('they open clients'),
    openClient: async options => new Client(options),
    runBroker: async () => {},
    printConfig: async () => {},
  })
  return { code, out, err }
}

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
    [['consume', 't', '--from', 'soon'], /--from is 'soon'/],
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
