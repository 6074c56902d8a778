/**
 * `ottla produce`, `consume`, `config`, `doctor` and the completion of names as a user runs them, against our broker and
 * against Apache Kafka.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  freePort,
  missing,
  OTTLA,
  run,
  runWell,
  type Server,
  type ServerOptions,
  startKafka,
  startOttla,
  temporaryDirectory,
} from './harness.ts'

const BROKERS: readonly [string, (options?: ServerOptions) => Promise<Server>, string | false][] = [
  ['ottla', startOttla, false],
  ['kafka', startKafka, missing('kafka')],
]

async function ottla(args: readonly string[], stdin = '') {
  const { code, stdout, stderr } = await run(process.execPath, [OTTLA, ...args], { stdin })
  return { code, out: stdout.toString(), err: stderr }
}

for (const [name, start, skip] of BROKERS) {
  describe(name, { skip }, () => {
    let broker: Server
    const at = (args: readonly string[], stdin = '') =>
      ottla([...args, '--bootstrap', broker.bootstrap], stdin)

    before(async () => {
      broker = await start()
    })
    after(async () => {
      await broker.stop()
    })

    test('lines with keys go in, in every codec, and come out by offset, time, header and group', async () => {
      await at(['topic', 'create', 'lines', '--partitions', '1'])
      for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
        const options = ['--key-separator', ':', '--compression', codec, '--header', `c=${codec}`]
        const written = await at(['produce', 'lines', ...options], 'k1:a\nk2:b:c\n')
        assert.deepEqual(written, { code: 0, out: '', err: '2 records written\n' })
      }
      const consume = async (...args: string[]) => {
        const { code, out, err } = await at([
          'consume',
          'lines',
          ...args,
          '--format',
          '%o %k=%v\\n',
        ])
        assert.deepEqual([code, err], [0, ''])
        return out
      }
      assert.equal(await consume('--from', '8', '--no-follow'), '8 k1=a\n9 k2=b:c\n')
      assert.equal(await consume('--from', 'earliest', '--to', '1'), '0 k1=a\n')
      assert.equal(await consume('--from', '1h', '-n', '1'), '0 k1=a\n')
      const found = ['--from', 'earliest', '--no-follow', '--header', 'c=lz4']
      assert.equal(await consume(...found), '6 k1=a\n7 k2=b:c\n')
      const member = ['--group', 'readers', '--from', 'earliest']
      assert.equal(await consume(...member, '-n', '1'), '0 k1=a\n')
      assert.equal(await consume(...member, '-n', '1'), '1 k2=b:c\n')
    })

    test('a topic goes to another as JSON, with bytes, headers and times as they were', async () => {
      const line = {
        key: 'k',
        valueBase64: '/wA=',
        headers: { h: 'v' },
        timestampMs: 1_700_000_000_000,
      }
      await at(['topic', 'create', 'from', 'to', '--partitions', '2'])
      await at(['produce', 'from', '--json'], `${JSON.stringify(line)}\n`)
      const all = ['--from', 'earliest', '--no-follow', '--json']
      const { out } = await at(['consume', 'from', ...all])
      await at(['produce', 'to', '--json'], out)
      const copied = await at(['consume', 'to', ...all])
      assert.equal(copied.out, out.replace('"from"', '"to"'))
      assert.equal(JSON.parse(out).time, '2023-11-14T22:13:20.000Z')
    })

    test('settings of topics and brokers are shown and changed', async () => {
      await at(['topic', 'create', 'set'])
      const change = ['--set', 'retention.ms=1000', '--set', 'cleanup.policy=compact']
      const altered = await at(['config', 'alter', 'topic', 'set', ...change])
      assert.deepEqual([altered.code, altered.err], [0, ''])
      const shown = await at(['config', 'describe', 'topic', 'set'])
      assert.match(
        shown.out,
        /^Topic set:\n {2}cleanup\.policy=compact {2}\(topic\)\n(.*\n)*? {2}retention\.ms=1000 {2}\(topic\)\n/,
      )
      await at(['config', 'alter', 'broker', '--set', 'log.cleaner.backoff.ms=20000'])
      const broad = await at(['config', 'describe', 'broker'])
      assert.match(broad.out, /All brokers:\n {2}log\.cleaner\.backoff\.ms=20000 {2}\(all brokers/)
      assert.match(broad.out, /\nBroker 1:\n/)
      const wrong = await at(['config', 'alter', 'topic', 'set', '--set', 'retention.ms=soon'])
      assert.equal(wrong.code, 1)
      assert.match(wrong.err, /^ottla: topic 'set': .*INVALID_CONFIG/)
      const unknown = await at(['config', 'describe', 'topic', 'nowhere'])
      assert.deepEqual([unknown.code, unknown.out], [1, ''])
    })

    test('doctor finds nothing wrong with it', async () => {
      const { code, out } = await at(['doctor', '--topic', 'lines'])
      assert.equal(code, 0, out)
      assert.match(out, /: it is a broker: Metadata \d+, Produce \d+, Fetch \d+, ListOffsets \d+;/)
      assert.match(out, /GiB \(\d+ %\) are free in /)
      assert.match(out, /its coordinator is broker 1 at 127\.0\.0\.1:\d+\n/)
      assert.match(out, /\n0 problems, \d warnings?\.\n$/)
    })

    test('names of topics are completed', async () => {
      const line = `ottla topic describe --bootstrap ${broker.bootstrap} lin`
      assert.equal((await ottla(['complete', line])).out, 'lines\n')
    })
  })
}

test('doctor tells the ports of Kafka apart: TLS, controller', {
  skip: missing('kafka'),
}, async () => {
  const store = join(temporaryDirectory('keys'), 'keys.p12')
  const password = 'changeit'
  const key = ['-genkeypair', '-alias', 'a', '-keyalg', 'RSA', '-dname', 'CN=localhost']
  await runWell('keytool', [...key, '-keystore', store, '-storepass', password])
  const [port, tlsPort] = [await freePort(), await freePort()]
  const listeners = `PLAINTEXT://127.0.0.1:${port},SSL://127.0.0.1:${tlsPort}`
  const broker = await startKafka({
    port,
    overrides: {
      listeners: `${listeners},CONTROLLER://127.0.0.1:${port + 1}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT',
      'ssl.keystore.location': store,
      'ssl.keystore.password': password,
      'ssl.key.password': password,
    },
  })
  try {
    const tls = await ottla(['doctor', '--bootstrap', `127.0.0.1:${tlsPort}`])
    assert.equal(tls.code, 3)
    assert.match(tls.out, /it speaks TLS, and this client speaks plaintext/)
    const controller = await ottla(['doctor', '--bootstrap', `127.0.0.1:${port + 1}`])
    assert.equal(controller.code, 3)
    assert.match(controller.out, /this is the port of a controller\n {9}give the port of a broker/)
  } finally {
    await broker.stop()
  }
})
