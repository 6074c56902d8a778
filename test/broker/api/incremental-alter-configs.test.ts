import assert from 'node:assert/strict'
import { test } from 'node:test'
import { incrementalAlterConfigs } from '../../../broker/api/incremental-alter-configs.ts'
import { errorName } from '../../../protocol/errors.ts'
import { type TestBroker, testBroker, versionsOf } from '../harness.ts'

const [TOPIC, BROKER] = [2, 4]
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
