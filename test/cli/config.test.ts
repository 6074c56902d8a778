/** `ottla config` in this process, against a broker in it: what it prints, and its exit codes. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { describeConfigsText } from '../../cli/config-tables.ts'
import { cli } from './run-cli.ts'

let broker: EmbeddedBroker

before(async () => {
  broker = await startBroker({ config: { 'num.partitions': 2 } })
  await run('topic', 'create', 'orders', '--config', 'retention.ms=1000')
})

after(() => broker.stop())

const run = (...args: string[]) => cli([...args, '--bootstrap', broker.bootstrap])
const config = (...args: string[]) => run('config', ...args)

test('settings of a topic are shown, changed, and set back', async () => {
  const shown = await config('describe', 'topic', 'orders')
  assert.deepEqual(shown, {
    code: 0,
    out: 'Topic orders:\n  retention.ms=1000  (topic)\n',
    err: '',
  })
  const change = ['--set', 'segment.ms=5000', '--delete', 'retention.ms']
  const dry = await config('alter', 'topic', 'orders', ...change, '--dry-run')
  const lines = 'segment.ms=5000, retention.ms back to its default\n'
  assert.equal(dry.out, `topic orders would be altered: ${lines}`)
  assert.equal((await config('describe', 'topic', 'orders')).out, shown.out)
  const done = await config('alter', 'topic', 'orders', ...change)
  assert.equal(done.out, `topic orders altered: ${lines}`)
  assert.equal(
    (await config('describe', 'topic', 'orders')).out,
    'Topic orders:\n  segment.ms=5000  (topic)\n',
  )
  await config('alter', 'topic', 'orders', '--delete', 'segment.ms')
  assert.equal((await config('describe', 'topic', 'orders')).out, 'Topic orders: all default\n')
})

test('--all shows defaults too, --doc what they mean, --json all of it', async () => {
  const { out } = await config('describe', 'topic', 'orders', '--all', '--doc')
  assert.match(out, /\n {2}cleanup\.policy=delete {2}\(default\)\n {6}What happens to old segments/)
  const json = await config('describe', 'topic', 'orders', '--all', '--json')
  const [described] = JSON.parse(json.out)
  assert.deepEqual([described.type, described.name], ['topic', 'orders'])
  assert.deepEqual(described.configs['cleanup.policy'], {
    value: 'delete',
    source: 'default',
    readOnly: false,
  })
})

test('brokers: one, or all with what holds for all of them', async () => {
  const change = ['--set', 'log.retention.ms=7000']
  const altered = await config('alter', 'broker', ...change)
  assert.equal(altered.out, 'all brokers altered: log.retention.ms=7000\n')
  const { out } = await config('describe', 'broker')
  assert.match(out, /^All brokers:\n {2}log\.retention\.ms=7000 {2}\(all brokers, dynamic\)\n\n/)
  assert.match(out, /\nBroker 1:\n/)
  assert.match(out, /\n {2}num\.partitions=2 {2}\(broker, server\.properties\)\n/)
  const one = await config('describe', 'broker', '1')
  assert.match(one.out, /^Broker 1:\n/)
  await config('alter', 'broker', '--delete', 'log.retention.ms')
})

test('refusals name setting, resource and error; wrong usage is told before anything is sent', async () => {
  const refused = await config('alter', 'topic', 'orders', '--set', 'no.such=1')
  assert.equal(refused.code, 1)
  assert.match(refused.err, /topic 'orders'.*INVALID_CONFIG/)
  for (const [args, reason] of [
    [['describe', 'topic'], /name the topics after 'topic'/],
    [['alter', 'group', '--set', 'a=b'], /name the groups after 'group'/],
    [['alter', 'topic', 'orders'], /nothing to alter/],
    [['describe', 'client', 'x'], /Allowed choices are topic, broker, group/],
  ] as const) {
    const { code, err } = await config(...args)
    assert.equal(code, 2, err)
    assert.match(err, reason)
  }
})

test('values that are secret are not shown, and markup in documentation is not', () => {
  const entry = {
    name: 'ssl.key.password',
    value: null,
    readOnly: false,
    configSource: 4,
    isSensitive: true,
    synonyms: [],
    configType: 9,
    documentation: 'The <code>password</code>\n of the key.',
  }
  const text = describeConfigsText({ type: 'group', name: 'g', configs: [entry] }, true)
  assert.equal(
    text,
    'Group g:\n  ssl.key.password=(hidden)  (broker, server.properties)\n      The password of the key.\n',
  )
})
