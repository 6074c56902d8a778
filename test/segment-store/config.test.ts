import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, it } from 'node:test'
import { INT64_MAX } from '../../protocol/buffer.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import {
  defaultLogConfig,
  logConfigFor,
  topicSetting,
  topicSettings,
  validateTopicConfigs,
} from '../../segment-store/config.ts'
import { defaultText, parseSetting, type SettingValue } from '../../segment-store/setting.ts'

const reference = resolve(process.cwd(), '../shared/kafka-protocol/topic-configs.json')

function refusal(overrides: Record<string, string | null>): string {
  let refused: unknown
  try {
    validateTopicConfigs(overrides)
  } catch (error) {
    refused = error
  }
  assert.ok(refused instanceof ProtocolError, `${JSON.stringify(overrides)} was accepted`)
  assert.equal(refused.error, 'INVALID_CONFIG')
  return refused.detail
}

describe('topic settings', () => {
  it("are Kafka's, with its types, defaults and ranges", t => {
    if (!existsSync(reference)) return t.skip('no reference data')
    // Numbers above 2^53 as text, since JSON.parse would round them.
    const text = readFileSync(reference, 'utf8').replace(/"default":(-?\d{16,})/g, '"default":"$1"')
    const rows = JSON.parse(text) as {
      name: string
      type: string
      default: unknown
      valid: string
    }[]
    assert.deepEqual(Object.keys(topicSettings).sort(), rows.map(row => row.name).sort())
    for (const row of rows) {
      const setting = topicSetting(row.name)!
      const expected = row.type === 'LIST' ? String(row.default).slice(1, -1) : String(row.default)
      assert.equal(setting.type, row.type, row.name)
      assert.equal(defaultText(setting), expected, row.name)
      assert.equal(setting.valid?.text ?? '', row.valid, row.name)
      assert.ok(setting.doc.length > 0, row.name)
    }
  })

  it('have defaults that are valid themselves', () => {
    for (const [name, setting] of Object.entries(topicSettings)) {
      const text = defaultText(setting)
      assert.ok(text !== null, name)
      assert.deepEqual(parseSetting<SettingValue>(name, setting, text), setting.defaultValue, name)
    }
  })
})

describe('validateTopicConfigs', () => {
  const boundaries: [name: string, valid: string[], invalid: [text: string, why: string][]][] = [
    [
      'segment.bytes',
      ['1048576', '2147483647', ' +1048576 '],
      [
        ['1048575', 'Value must be at least 1048576'],
        ['2147483648', 'Not a number of type INT'],
        ['1.5', 'Not a number of type INT'],
        ['', 'Not a number of type INT'],
      ],
    ],
    [
      'compression.gzip.level',
      ['-1', '1', '9'],
      [
        ['0', 'Value must be between 1 and 9 or equal to -1'],
        ['10', 'Value must be between 1 and 9 or equal to -1'],
        ['-2', 'Value must be between 1 and 9 or equal to -1'],
      ],
    ],
    [
      'compression.lz4.level',
      ['1', '17'],
      [
        ['0', 'Value must be at least 1'],
        ['18', 'Value must be no more than 17'],
      ],
    ],
    [
      'compression.zstd.level',
      ['-131072', '22'],
      [
        ['-131073', 'Value must be at least -131072'],
        ['23', 'Value must be no more than 22'],
      ],
    ],
    [
      'retention.ms',
      ['-1', '9223372036854775807'],
      [
        ['-2', 'Value must be at least -1'],
        ['9223372036854775808', 'Not a number of type LONG'],
      ],
    ],
    [
      'retention.bytes',
      ['-9223372036854775808'],
      [['-9223372036854775809', 'Not a number of type LONG']],
    ],
    ['segment.ms', ['1'], [['0', 'Value must be at least 1']]],
    ['flush.messages', ['1'], [['0', 'Value must be at least 1']]],
    ['flush.ms', ['0'], [['-1', 'Value must be at least 0']]],
    [
      'min.cleanable.dirty.ratio',
      ['0', '1', '1e-1', '0.5f', '.5'],
      [
        ['1.1', 'Value must be no more than 1'],
        ['-0.1', 'Value must be at least 0'],
        ['NaN', 'Not a number of type DOUBLE'],
        ['x', 'Not a number of type DOUBLE'],
      ],
    ],
    [
      'preallocate',
      ['true', 'FALSE', ' true '],
      [
        ['yes', 'Expected value to be either true or false'],
        ['', 'Expected value to be either true or false'],
      ],
    ],
    [
      'compression.type',
      ['producer', 'uncompressed', 'zstd'],
      [
        ['none', 'String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer'],
        ['GZIP', 'String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer'],
      ],
    ],
    [
      'message.timestamp.type',
      ['LogAppendTime'],
      [['createtime', 'String must be one of: CreateTime, LogAppendTime']],
    ],
    [
      'cleanup.policy',
      ['', 'compact', ' compact , delete ', 'delete,delete'],
      [
        ['foo', 'String must be one of: compact, delete'],
        ['[delete]', 'String must be one of: compact, delete'],
      ],
    ],
    ['leader.replication.throttled.replicas', ['*', '', '0:1,1:2'], []],
  ]
  for (const [name, valid, invalid] of boundaries) {
    it(`takes what ${name} may be and refuses the rest by name and value`, () => {
      for (const text of valid) validateTopicConfigs({ [name]: text })
      for (const [text, why] of invalid) {
        assert.equal(
          refusal({ [name]: text }),
          `Invalid value ${text} for configuration ${name}: ${why}`,
        )
      }
    })
  }

  it('names the one item of a list that is wrong', () => {
    assert.equal(
      refusal({ 'cleanup.policy': 'compact,foo' }),
      'Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete',
    )
    assert.match(
      refusal({ 'follower.replication.throttled.replicas': 'x' }),
      /^Invalid value \[x\] for configuration follower.+ must be the literal '\*' or a list/,
    )
  })

  it('refuses unknown names, broker settings and removed names', () => {
    for (const name of ['unknown.cfg', 'log.segment.bytes', 'message.format.version', 'toString']) {
      assert.equal(refusal({ [name]: '1' }), `Unknown topic config name: ${name}`)
    }
    assert.equal(
      refusal(Object.fromEntries([['__proto__', '1']])),
      'Unknown topic config name: __proto__',
    )
  })

  it('refuses null', () => {
    assert.equal(
      refusal({ 'segment.bytes': null }),
      'Null value not supported for topic configs: segment.bytes',
    )
  })

  it('refuses a compaction lag whose bounds cross, with the broker counted in', () => {
    validateTopicConfigs({ 'min.compaction.lag.ms': '50', 'max.compaction.lag.ms': '50' })
    assert.equal(
      refusal({ 'min.compaction.lag.ms': '51', 'max.compaction.lag.ms': '50' }),
      'conflict topic config setting min.compaction.lag.ms (51) > max.compaction.lag.ms (50)',
    )
    assert.throws(
      () =>
        validateTopicConfigs({ 'max.compaction.lag.ms': '5' }, { 'min.compaction.lag.ms': '6' }),
      ProtocolError,
    )
  })

  it('refuses tiered storage when it is turned on', () => {
    validateTopicConfigs({ 'remote.storage.enable': 'false' })
    assert.match(refusal({ 'remote.storage.enable': 'true' }), /^Tiered Storage/)
  })
})

describe('logConfigFor', () => {
  it('has the documented values when nobody set any', () => {
    assert.equal(defaultLogConfig.segmentBytes, 1_073_741_824)
    assert.equal(defaultLogConfig.flushMs, INT64_MAX)
    assert.equal(defaultLogConfig.compressionType, 'producer')
    assert.equal(defaultLogConfig.messageTimestampBeforeMaxMs, INT64_MAX)
    assert.deepEqual(defaultLogConfig.cleanupPolicy, { compact: false, delete: true })
    assert.equal(Object.keys(defaultLogConfig).length, 33)
  })

  it("takes the topic's value, else the broker's, else the default", () => {
    const config = logConfigFor(
      { 'segment.bytes': '2000000', 'retention.ms': '5' },
      { 'segment.bytes': '3000000', 'cleanup.policy': 'compact,delete' },
    )
    assert.equal(config.segmentBytes, 3_000_000)
    assert.equal(config.retentionMs, 5)
    assert.equal(config.segmentMs, 604_800_000)
    assert.deepEqual(config.cleanupPolicy, { compact: true, delete: true })
    assert.deepEqual(logConfigFor({}, { 'cleanup.policy': '' }).cleanupPolicy, {
      compact: false,
      delete: false,
    })
  })

  it('lets internal.segment.bytes go below the smallest segment', () => {
    const overrides = { 'segment.bytes': '1048576', 'internal.segment.bytes': '1000' }
    validateTopicConfigs(overrides)
    assert.equal(logConfigFor({}, overrides).segmentBytes, 1000)
  })

  it('refuses stored text that is invalid', () => {
    assert.throws(() => logConfigFor({}, { 'segment.bytes': 'x' }), ProtocolError)
  })
})
