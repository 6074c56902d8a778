import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeConfigs } from '../../../broker/api/describe-configs.ts'
import { errorName } from '../../../protocol/errors.ts'
import { type TestBroker, testBroker, versionsOf } from '../harness.ts'

const [TOPIC, BROKER, LOGGER, METRICS, GROUP] = [2, 4, 8, 16, 32]

const describe = async (
  { call }: TestBroker,
  resourceType: number,
  resourceName: string,
  configurationKeys: readonly string[] | null = null,
  rest: { version?: number; includeSynonyms?: boolean; includeDocumentation?: boolean } = {},
) => {
  const { version, ...flags } = rest
  const resources = [{ resourceType, resourceName, configurationKeys }]
  const request = { resources, ...flags }
  const { results } = await call({ DescribeConfigs: describeConfigs }, request, version)
  return results[0]!
}

test('a topic shows its own settings and the defaults, at every version', async () => {
  const tested = await testBroker()
  await tested.createTopic('a', 1, { 'retention.ms': '7' })
  for (const version of versionsOf('DescribeConfigs')) {
    const { errorCode, configs } = await describe(tested, TOPIC, 'a', null, { version })
    assert.equal(errorCode, 0)
    const retention = configs.find(({ name }) => name === 'retention.ms')!
    assert.deepEqual([retention.value, retention.configSource], ['7', 1])
    assert.equal(retention.configType, version >= 3 ? 5 : 0)
    assert.equal(configs.find(({ name }) => name === 'segment.bytes')!.configSource, 5)
    assert.ok(configs.every(({ synonyms, documentation }) => !synonyms.length && !documentation))
  }
})

test('only the keys that are asked for, with synonyms and documentation if wished', async () => {
  const tested = await testBroker({ overrides: ['log.segment.bytes=2000000'] })
  await tested.createTopic('a')
  const flags = { includeSynonyms: true, includeDocumentation: true }
  const { configs } = await describe(tested, TOPIC, 'a', ['segment.bytes', 'nope'], flags)
  assert.equal(configs.length, 1)
  const [entry] = configs
  assert.deepEqual([entry!.value, entry!.configSource], ['2000000', 4])
  assert.deepEqual(
    entry!.synonyms.map(({ name, source }) => [name, source]),
    [
      ['log.segment.bytes', 4],
      ['log.segment.bytes', 5],
    ],
  )
  assert.ok(entry!.documentation!.length > 0)
  const none = await describe(tested, TOPIC, 'a', [])
  assert.ok(none.configs.length > 20, 'an empty list of keys asks for all')
})

test('this broker shows its settings, the empty name those for all brokers', async () => {
  const tested = await testBroker({ overrides: ['num.partitions=4'] })
  const own = await describe(tested, BROKER, '1', ['num.partitions', 'node.id'])
  assert.deepEqual(
    own.configs.map(({ name, value, readOnly }) => [name, value, readOnly]),
    [
      ['node.id', '1', true],
      ['num.partitions', '4', true],
    ],
  )
  assert.deepEqual((await describe(tested, BROKER, '')).configs, [])
})

test('resources that do not exist here are refused in words', async () => {
  const tested = await testBroker()
  const refused = async (type: number, name: string) => {
    const { errorCode, errorMessage, configs } = await describe(tested, type, name)
    assert.deepEqual(configs, [])
    return `${errorName(errorCode)}: ${errorMessage}`
  }
  assert.equal(await refused(TOPIC!, 'none'), 'UNKNOWN_TOPIC_OR_PARTITION: ')
  assert.match(await refused(TOPIC!, 'no good'), /^INVALID_TOPIC_EXCEPTION: Topic name is invalid/)
  assert.equal(
    await refused(BROKER!, '9'),
    'INVALID_REQUEST: Unexpected broker id, expected 1 or empty string, but received 9',
  )
  assert.equal(
    await refused(BROKER!, 'x'),
    'INVALID_REQUEST: Broker id must be an integer, but it is: x',
  )
  assert.equal(
    await refused(LOGGER!, '2'),
    'INVALID_REQUEST: Unexpected broker id, expected 1 but received 2',
  )
  assert.equal(await refused(LOGGER!, ''), 'INVALID_REQUEST: Broker id must not be empty')
  assert.equal(await refused(GROUP!, ''), 'INVALID_REQUEST: Group name must not be empty')
  assert.match(await refused(3, 'x'), /^INVALID_REQUEST: /)
})

test('resources whose settings are not kept yet have none', async () => {
  const tested = await testBroker()
  for (const [type, name] of [
    [LOGGER, '1'],
    [METRICS, 's'],
  ] as const) {
    const { errorCode, configs } = await describe(tested, type!, name)
    assert.deepEqual([errorCode, configs], [0, []])
  }
})

test('a group shows its own settings over those of the broker, as Kafka lists them', async () => {
  const tested = await testBroker({ overrides: ['group.consumer.session.timeout.ms=50000'] })
  const own = { 'consumer.heartbeat.interval.ms': '6000' }
  await tested.broker.controller.alterConfigs('group', 'g', () => own)
  const { configs } = await describe(tested, GROUP, 'g', null, { includeSynonyms: true })
  const shown = new Map(configs.map(one => [one.name, one]))
  assert.equal(configs.length, 17)
  const synonymsOf = (name: string) =>
    shown.get(name)!.synonyms.map(one => [one.name, one.value, one.source])
  assert.equal(shown.get('consumer.session.timeout.ms')!.value, '50000')
  assert.deepEqual(synonymsOf('consumer.session.timeout.ms'), [
    ['group.consumer.session.timeout.ms', '50000', 4],
    ['group.consumer.session.timeout.ms', '45000', 5],
  ])
  assert.deepEqual(synonymsOf('consumer.heartbeat.interval.ms'), [
    ['consumer.heartbeat.interval.ms', '6000', 8],
    ['group.consumer.heartbeat.interval.ms', '5000', 5],
  ])
  assert.deepEqual(synonymsOf('share.isolation.level'), [
    ['share.isolation.level', 'read_uncommitted', 5],
  ])
  assert.equal((await describe(tested, GROUP, '')).errorMessage, 'Group name must not be empty')
  const other = await describe(tested, GROUP, 'h', ['consumer.heartbeat.interval.ms', 'nope'])
  assert.deepEqual(
    other.configs.map(one => one.value),
    ['5000'],
  )
})
