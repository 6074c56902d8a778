import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig, reconfigure } from '../../../broker/config.ts'
import {
  type ConfigEntry,
  describeBrokerConfigs,
  describeClusterDefaults,
  describeTopicConfigs,
} from '../../../broker/settings/describe.ts'

function fromFile(text: string) {
  return loadConfig({ file: { name: 'server.properties', text } })
}

/** An entry in the form in which Kafka's own answers were noted: value, source, synonyms. */
function line(entries: readonly ConfigEntry[], name: string): string {
  const entry = entries.find(candidate => candidate.name === name)
  assert.ok(entry !== undefined, `${name} is missing`)
  const synonyms = entry.synonyms.map(
    synonym => `${synonym.source}:${synonym.name}=${synonym.value}`,
  )
  return `${entry.value}|${entry.configSource}|${synonyms.join(', ')}`
}

describe('describeTopicConfigs', () => {
  it('answers as Kafka with the same broker settings does', () => {
    const config = fromFile(
      'log.retention.hours=100\nlog.segment.bytes=2000000\nmessage.max.bytes=900000\nlog.cleanup.policy=delete,compact',
    )
    const entries = describeTopicConfigs(config, {
      'segment.ms': ' +5000 ',
      'min.cleanable.dirty.ratio': '1e-5',
      'cleanup.policy': ' compact ',
    })
    assert.equal(entries.length, 33)
    assert.ok(entries.every(({ readOnly, isSensitive }) => !readOnly && !isSensitive))
    const expected: Record<string, string> = {
      'cleanup.policy':
        'compact|1|1:cleanup.policy=compact, 4:log.cleanup.policy=delete,compact, 5:log.cleanup.policy=delete',
      'flush.messages': '9223372036854775807|5|5:log.flush.interval.messages=9223372036854775807',
      'flush.ms': '9223372036854775807|5|',
      'follower.replication.throttled.replicas': '|5|',
      'max.message.bytes': '900000|4|4:message.max.bytes=900000, 5:message.max.bytes=1048588',
      'min.cleanable.dirty.ratio':
        '1.0E-5|1|1:min.cleanable.dirty.ratio=1.0E-5, 5:log.cleaner.min.cleanable.ratio=0.5',
      'retention.ms': '360000000|5|',
      'segment.bytes': '2000000|4|4:log.segment.bytes=2000000, 5:log.segment.bytes=1073741824',
      'segment.jitter.ms': '0|5|',
      'segment.ms': '5000|1|1:segment.ms=5000',
      'compression.type': 'producer|5|5:compression.type=producer',
      'remote.storage.enable': 'false|5|',
    }
    for (const [name, text] of Object.entries(expected))
      assert.equal(line(entries, name), text, name)
  })

  it('shows dynamic settings of the broker before the default of all brokers', () => {
    const config = fromFile('log.retention.hours=100')
    reconfigure(config, {
      broker: { 'log.retention.ms': ' +77 ' },
      clusterDefault: { 'log.retention.ms': '200' },
    })
    const synonyms =
      '2:log.retention.ms= +77 , 3:log.retention.ms=200, 4:log.retention.hours=100, 5:log.retention.hours=168'
    assert.equal(line(describeTopicConfigs(config, {}), 'retention.ms'), `77|2|${synonyms}`)
    const broker = describeBrokerConfigs(config)
    assert.equal(line(broker, 'log.retention.ms'), `77|2|${synonyms}`)
    assert.equal(
      line(broker, 'log.retention.hours'),
      '100|4|4:log.retention.hours=100, 5:log.retention.hours=168',
    )
    assert.deepEqual(
      describeClusterDefaults(config).map(({ name }) => name),
      ['log.retention.ms'],
    )
    assert.equal(
      line(describeClusterDefaults(config), 'log.retention.ms'),
      '200|3|3:log.retention.ms=200',
    )
  })

  it('answers only the names that were asked for and exist', () => {
    const names = ['segment.ms', 'nonsense', 'retention.ms', 'internal.segment.bytes']
    const asked = (overrides: Record<string, string>) =>
      describeTopicConfigs(loadConfig(), overrides, names).map(({ name }) => name)
    assert.deepEqual(asked({}), ['retention.ms', 'segment.ms'])
    assert.deepEqual(asked({ 'internal.segment.bytes': '9' }), [
      'internal.segment.bytes',
      'retention.ms',
      'segment.ms',
    ])
    assert.deepEqual(describeTopicConfigs(loadConfig(), {}, []), [])
  })

  it('names the type of each setting by its number', () => {
    const types = Object.fromEntries(
      describeTopicConfigs(loadConfig(), {}).map(({ name, configType }) => [name, configType]),
    )
    assert.equal(types['preallocate'], 1)
    assert.equal(types['compression.type'], 2)
    assert.equal(types['segment.bytes'], 3)
    assert.equal(types['retention.ms'], 5)
    assert.equal(types['min.cleanable.dirty.ratio'], 6)
    assert.equal(types['cleanup.policy'], 7)
  })
})

describe('describeBrokerConfigs', () => {
  it('has the 340 settings of Kafka and ours, and hidden ones only where they are set', () => {
    assert.equal(describeBrokerConfigs(loadConfig()).length, 344)
    const entries = describeBrokerConfigs(fromFile('log.initial.task.delay.ms=5'))
    assert.equal(entries.length, 345)
    assert.equal(line(entries, 'log.initial.task.delay.ms'), '5|4|4:log.initial.task.delay.ms=5')
  })

  it('shows values, origins and both names of the node id as Kafka does', () => {
    const entries = describeBrokerConfigs(fromFile('node.id=3\nlog.cleanup.policy=delete,delete'))
    for (const [name, text] of Object.entries({
      'broker.id': '3|4|4:broker.id=3, 5:broker.id=-1',
      'advertised.listeners': 'null|5|',
      'authorizer.class.name': '|5|5:authorizer.class.name=',
      'log.cleaner.io.max.bytes.per.second':
        '1.7976931348623157E308|5|5:log.cleaner.io.max.bytes.per.second=1.7976931348623157E308',
      'log.cleanup.policy':
        'delete|4|4:log.cleanup.policy=delete,delete, 5:log.cleanup.policy=delete',
      'log.retention.ms': 'null|5|',
      'ssl.enabled.protocols': 'TLSv1.2,TLSv1.3|5|5:ssl.enabled.protocols=TLSv1.2,TLSv1.3',
      'max.connections.per.ip.overrides': '|5|5:max.connections.per.ip.overrides=',
    })) {
      assert.equal(line(entries, name), text, name)
    }
    assert.match(line(entries, 'node.id'), /^3\|4\|4:node\.id=3/)
    assert.equal(describeBrokerConfigs(fromFile('broker.id=4'), ['node.id'])[0]?.value, '4')
  })

  it('never shows a secret, not even as a synonym', () => {
    const [entry] = describeBrokerConfigs(fromFile('ssl.key.password=hush'), ['ssl.key.password'])
    assert.ok(entry !== undefined)
    assert.ok(!JSON.stringify(entry).includes('hush'))
    assert.equal(entry.isSensitive, true)
    assert.deepEqual(entry.synonyms, [{ name: 'ssl.key.password', value: null, source: 4 }])
  })

  it('says which settings can be changed while the broker runs', () => {
    const readOnly = new Map(
      describeBrokerConfigs(loadConfig()).map(entry => [entry.name, entry.readOnly]),
    )
    for (const name of [
      'log.retention.ms',
      'max.connections',
      'num.io.threads',
      'min.insync.replicas',
    ]) {
      assert.equal(readOnly.get(name), false, name)
    }
    for (const name of [
      'node.id',
      'log.dirs',
      'num.partitions',
      'log.retention.hours',
      'listeners',
    ]) {
      assert.equal(readOnly.get(name), true, name)
    }
  })
})
