import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig } from '../../../broker/config.ts'
import {
  alterBrokerConfigs,
  alterTopicConfigs,
  applyOperations,
  type ConfigOperation,
  replaceBrokerConfigs,
  replaceTopicConfigs,
} from '../../../broker/settings/alter.ts'
import { ProtocolError } from '../../../protocol/errors.ts'

const set = (name: string, value: string | null): ConfigOperation => ({
  name,
  configOperation: 0,
  value,
})
const remove = (name: string): ConfigOperation => ({ name, configOperation: 1, value: null })
const append = (name: string, value: string): ConfigOperation => ({
  name,
  configOperation: 2,
  value,
})
const subtract = (name: string, value: string): ConfigOperation => ({
  name,
  configOperation: 3,
  value,
})

function refused(error: string, detail: string | RegExp) {
  return (thrown: unknown) => {
    assert.ok(thrown instanceof ProtocolError)
    assert.equal(thrown.error, error)
    if (typeof detail === 'string') assert.equal(thrown.detail, detail)
    else assert.match(thrown.detail, detail)
    return true
  }
}

describe('alterTopicConfigs', () => {
  const config = loadConfig({ overrides: ['log.cleanup.policy=delete,compact'] })
  const alter = (current: Record<string, string>, ...operations: ConfigOperation[]) =>
    alterTopicConfigs(config, current, operations)

  it('sets, deletes, appends and subtracts, and leaves what it was given as it is', () => {
    const current = Object.freeze({ 'segment.ms': '5', 'cleanup.policy': 'compact' })
    assert.deepEqual(alter(current, set('segment.ms', '6'), remove('retention.ms')), {
      'segment.ms': '6',
      'cleanup.policy': 'compact',
    })
    assert.deepEqual(alter(current, remove('segment.ms')), { 'cleanup.policy': 'compact' })
    const policy = (from: string, operation: ConfigOperation) =>
      alter({ 'cleanup.policy': from }, operation)['cleanup.policy']
    assert.equal(policy('compact', append('cleanup.policy', ' delete ')), 'compact,delete')
    assert.equal(policy('compact', append('cleanup.policy', 'compact')), 'compact')
    assert.equal(policy('compact,delete', subtract('cleanup.policy', 'delete')), 'compact')
    assert.equal(policy('compact', subtract('cleanup.policy', 'compact')), '')
    assert.equal(policy('', append('cleanup.policy', 'compact')), 'compact')
    assert.equal(policy('compact', subtract('cleanup.policy', 'bogus')), 'compact')
  })

  it('starts a list from what the topic inherits', () => {
    assert.deepEqual(alter({}, append('cleanup.policy', 'compact')), {
      'cleanup.policy': 'delete,compact',
    })
    assert.deepEqual(alter({}, subtract('cleanup.policy', 'compact')), {
      'cleanup.policy': 'delete',
    })
  })

  it("refuses in Kafka's words", () => {
    const cases: [ConfigOperation[], string, string | RegExp][] = [
      [
        [append('segment.bytes', '1')],
        'INVALID_CONFIG',
        "Can't APPEND to key segment.bytes because its type is not LIST.",
      ],
      [
        [subtract('unknown.cfg', '1')],
        'INVALID_CONFIG',
        "Can't SUBTRACT to key unknown.cfg because its type is not LIST.",
      ],
      [[set('unknown.cfg', '1')], 'INVALID_CONFIG', 'Unknown topic config name: unknown.cfg'],
      [
        [append('cleanup.policy', 'bogus')],
        'INVALID_CONFIG',
        /^Invalid value bogus for configuration/,
      ],
      [[set('segment.ms', null)], 'INVALID_REQUEST', 'Null value not supported for : segment.ms'],
      [[set('segment.ms', '1'), remove('segment.ms')], 'INVALID_REQUEST', /duplicate config keys/],
      [[{ name: 'segment.ms', configOperation: 4, value: '1' }], 'INVALID_REQUEST', /operation 4/],
      [
        [{ name: 'segment.ms', configOperation: -1, value: '1' }],
        'INVALID_REQUEST',
        /operation -1/,
      ],
    ]
    for (const [operations, error, detail] of cases) {
      assert.throws(() => alter({}, ...operations), refused(error, detail))
    }
    assert.deepEqual(alter({}, remove('unknown.cfg')), {})
  })

  it('keeps hostile names as names', () => {
    assert.throws(() => alter({}, set('__proto__', '1')), refused('INVALID_CONFIG', /__proto__/))
    const lists = { requireList: () => {}, inherited: () => '' }
    const next = applyOperations({}, [set('__proto__', '1')], lists)
    assert.deepEqual(Object.keys(next), ['__proto__'])
  })

  it('replaces all overrides for the older AlterConfigs', () => {
    assert.deepEqual(replaceTopicConfigs(config, [set('segment.ms', '6')]), { 'segment.ms': '6' })
    assert.deepEqual(replaceTopicConfigs(config, []), {})
    assert.throws(
      () => replaceTopicConfigs(config, [set('segment.ms', '0')]),
      refused('INVALID_CONFIG', /at least 1/),
    )
    assert.throws(
      () => replaceTopicConfigs(config, [set('segment.ms', null)]),
      refused('INVALID_REQUEST', /Null value/),
    )
  })
})

describe('alterBrokerConfigs', () => {
  const config = loadConfig()
  const alter = (...operations: ConfigOperation[]) =>
    alterBrokerConfigs(config, 'broker', operations)

  it('takes what may change while the broker runs', () => {
    assert.deepEqual(alter(set('log.retention.ms', '5')), { 'log.retention.ms': '5' })
    assert.deepEqual(alter(append('log.cleanup.policy', 'compact')), {
      'log.cleanup.policy': 'delete,compact',
    })
    assert.deepEqual(alter(set('num.io.threads', '4')), { 'num.io.threads': '4' })
    assert.deepEqual(alter(set('leader.replication.throttled.rate', '0')), {
      'leader.replication.throttled.rate': '0',
    })
    assert.deepEqual(alter(remove('node.id'), remove('nonsense')), {})
    assert.deepEqual(config.dynamic.broker, {})
  })

  it('refuses the rest', () => {
    const cases: [ConfigOperation, string, string | RegExp][] = [
      [
        set('node.id', '5'),
        'INVALID_REQUEST',
        'Cannot update these configs dynamically: [node.id]',
      ],
      [
        set('num.partitions', '5'),
        'INVALID_REQUEST',
        'Cannot update these configs dynamically: [num.partitions]',
      ],
      [
        set('log.segment.bytes', '5'),
        'INVALID_REQUEST',
        'Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576',
      ],
      [
        append('log.segment.bytes', '5'),
        'INVALID_CONFIG',
        'Config value append is not allowed for config key: log.segment.bytes',
      ],
      [append('nonsense', '5'), 'INVALID_CONFIG', 'Unknown config name: nonsense'],
      [set('nonsense', '5'), 'INVALID_CONFIG', 'Unknown config name: nonsense'],
      [set('log.segment.bytes', null), 'INVALID_REQUEST', /^Null value/],
      [set('max.connections.per.ip.overrides', 'host:x'), 'INVALID_REQUEST', /"host:x" is not/],
      [set('log.retention.ms', '0'), 'INVALID_REQUEST', /greater than or equal to 1/],
    ]
    for (const [operation, error, detail] of cases) {
      assert.throws(() => alter(operation), refused(error, detail))
    }
  })

  it('replaces a whole layer for the older AlterConfigs', () => {
    const settings = [{ name: 'max.connections', value: '5' }]
    assert.deepEqual(replaceBrokerConfigs(config, 'clusterDefault', settings), {
      'max.connections': '5',
    })
    assert.throws(
      () => replaceBrokerConfigs(config, 'clusterDefault', [{ name: 'log.dirs', value: '/x' }]),
      refused('INVALID_REQUEST', /log\.dirs/),
    )
  })
})
