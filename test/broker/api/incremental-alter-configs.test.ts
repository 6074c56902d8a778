import assert from 'node:assert/strict'
import { test } from 'node:test'
import { incrementalAlterConfigs } from '../../../broker/api/incremental-alter-configs.ts'
import { errorName } from '../../../protocol/errors.ts'
import { type TestBroker, testBroker, versionsOf } from '../harness.ts'

const [TOPIC, BROKER, GROUP] = [2, 4, 32]
const operations = { set: 0, delete: 1, append: 2, subtract: 3 }
type Operation = readonly [keyof typeof operations, string, (string | null)?]

const resource = (resourceType: number, resourceName: string, ...asked: readonly Operation[]) => ({
  resourceType,
  resourceName,
  configs: asked.map(([operation, name, value = null]) => ({
    name,
    configOperation: operations[operation],
    value,
  })),
})

async function alter(
  { call }: TestBroker,
  resources: readonly ReturnType<typeof resource>[],
  validateOnly = false,
  version?: number,
): Promise<readonly string[]> {
  const request = { resources, validateOnly }
  const { responses } = await call(
    { IncrementalAlterConfigs: incrementalAlterConfigs },
    request,
    version,
  )
  return responses.map(r => `${errorName(r.errorCode)}: ${r.errorMessage}`)
}

test('single settings are set and deleted, the others stay, at every version', async () => {
  for (const version of versionsOf('IncrementalAlterConfigs')) {
    const tested = await testBroker()
    await tested.createTopic('a', 1, { 'retention.ms': '7', 'segment.ms': '8' })
    const asked = resource(TOPIC!, 'a', ['set', 'max.message.bytes', '9'], ['delete', 'segment.ms'])
    assert.deepEqual(await alter(tested, [asked], false, version), ['NONE: null'])
    assert.deepEqual(tested.broker.image.topics.get('a')!.configs, {
      'retention.ms': '7',
      'max.message.bytes': '9',
    })
  }
})

test('lists are appended to and subtracted from, starting from the default', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  const policy = () => tested.broker.image.topics.get('a')!.configs['cleanup.policy']
  await alter(tested, [resource(TOPIC!, 'a', ['append', 'cleanup.policy', 'compact'])])
  assert.equal(policy(), 'delete,compact')
  await alter(tested, [resource(TOPIC!, 'a', ['subtract', 'cleanup.policy', 'delete'])])
  assert.equal(policy(), 'compact')
})

test('changes of one resource that come at the same time are all kept', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  const names = ['retention.ms', 'segment.ms', 'max.message.bytes', 'flush.ms']
  await Promise.all(names.map(name => alter(tested, [resource(TOPIC!, 'a', ['set', name, '5'])])))
  const set = tested.broker.image.topics.get('a')!.configs
  assert.deepEqual(Object.keys(set).sort(), [...names].sort())
  const brokerNames = ['message.max.bytes', 'log.retention.ms', 'num.io.threads']
  await Promise.all(
    brokerNames.map(name => alter(tested, [resource(BROKER!, '1', ['set', name, '5'])])),
  )
  assert.deepEqual(Object.keys(tested.broker.config.dynamic.broker).sort(), brokerNames.sort())
})

test('a resource that stands twice in a request is refused, others are not held up', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  await tested.createTopic('b')
  const asked = ['a', 'b', 'a'].map(name => resource(TOPIC!, name, ['set', 'retention.ms', '1']))
  const twice = 'INVALID_REQUEST: Each resource must appear at most once.'
  assert.deepEqual(await alter(tested, asked), [twice, 'NONE: null', twice])
})

test('what is not valid is refused with the words that tools show', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  const refused = async (type: number, name: string, ...asked: readonly Operation[]) =>
    (await alter(tested, [resource(type, name, ...asked)]))[0]!
  const retention = ['set', 'retention.ms', '1'] as const
  assert.equal(
    await refused(TOPIC!, 'none', retention),
    "UNKNOWN_TOPIC_OR_PARTITION: The topic 'none' does not exist.",
  )
  assert.match(await refused(TOPIC!, 'no good', retention), /^INVALID_TOPIC_EXCEPTION/)
  assert.equal(
    await refused(TOPIC!, 'a', ['set', 'nope', '1']),
    'INVALID_CONFIG: Unknown topic config name: nope',
  )
  assert.match(await refused(TOPIC!, 'a', ['append', 'retention.ms', '1']), /type is not LIST/)
  assert.equal(
    await refused(BROKER!, '7', ['set', 'num.io.threads', '9']),
    'INVALID_REQUEST: Unexpected broker id, expected 1, but received 7',
  )
  assert.equal(
    await refused(BROKER!, 'x', ['set', 'num.io.threads', '9']),
    'INVALID_REQUEST: Node id must be an integer, but it is: x',
  )
  assert.equal(
    await refused(BROKER!, '1', ['set', 'node.id', '9']),
    'INVALID_REQUEST: Cannot update these configs dynamically: [node.id]',
  )
  assert.deepEqual(tested.broker.image.topics.get('a')!.configs, {})
})

test('validateOnly checks and changes nothing', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  const asked = resource(TOPIC!, 'a', ['set', 'retention.ms', '1'])
  assert.deepEqual(await alter(tested, [asked], true), ['NONE: null'])
  assert.deepEqual(tested.broker.image.topics.get('a')!.configs, {})
})

test("settings of groups: within the broker's bounds, in the words of Kafka", async () => {
  const tested = await testBroker()
  const group = async (...asked: readonly Operation[]) =>
    (await alter(tested, [resource(GROUP!, 'g', ...asked)]))[0]!
  const session = 'consumer.session.timeout.ms'
  const heartbeat = 'consumer.heartbeat.interval.ms'
  assert.equal(await group(['set', session, '60000'], ['set', heartbeat, '5000']), 'NONE: null')
  const bound = (name: string, word: string, which: string) =>
    `INVALID_CONFIG: ${name} must be ${word} than or equal to group.consumer.${which}.${name.slice(9)}`
  assert.equal(await group(['set', session, '44999']), bound(session, 'greater', 'min'))
  assert.equal(await group(['set', session, '60001']), bound(session, 'less', 'max'))
  assert.equal(await group(['set', heartbeat, '4999']), bound(heartbeat, 'greater', 'min'))
  assert.equal(await group(['set', heartbeat, '15001']), bound(heartbeat, 'less', 'max'))
  assert.equal(
    await group(['set', 'streams.num.standby.replicas', '3']),
    'INVALID_CONFIG: streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas',
  )
  assert.equal(
    await group(['set', session, 'x']),
    `INVALID_CONFIG: Invalid value x for configuration ${session}: Not a number of type INT`,
  )
  assert.equal(
    await group(['set', 'consumer.nope', '1']),
    'INVALID_CONFIG: Unknown group config name: consumer.nope',
  )
  assert.equal(await group(['delete', 'consumer.nope']), 'NONE: null')
  assert.equal(
    await group(['append', session, '1']),
    `INVALID_CONFIG: Can't APPEND to key ${session} because its type is not LIST.`,
  )
  assert.equal(await group(['set', 'share.isolation.level', 'read_committed']), 'NONE: null')
  const [unnamed] = await alter(tested, [resource(GROUP!, '', ['set', session, '50000'])])
  assert.equal(unnamed, 'INVALID_REQUEST: Default group resources are not allowed.')
  const kept = {
    [session]: '60000',
    [heartbeat]: '5000',
    'share.isolation.level': 'read_committed',
  }
  assert.deepEqual(tested.broker.image.groupConfigs.get('g'), kept)
})

test('a group whose session would be no longer than its heartbeats is refused', async () => {
  const overrides = ['group.consumer.min.session.timeout.ms=1000']
  const tested = await testBroker({ overrides })
  const asked = ['set', 'consumer.session.timeout.ms', '5000'] as const
  const [answer] = await alter(tested, [resource(GROUP!, 'g', asked)])
  assert.equal(
    answer,
    'INVALID_CONFIG: consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms',
  )
})
