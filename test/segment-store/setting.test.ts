import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { INT64_MAX } from '../../protocol/buffer.ts'
import { topicSettings } from '../../segment-store/config.ts'
import {
  canonicalText,
  documentation,
  double,
  formatValue,
  int,
  list,
  long,
  oneOfAnyCase,
  parseSetting,
  string,
} from '../../segment-store/setting.ts'

describe('values as text', () => {
  it("are written as Kafka's tools show them", () => {
    assert.equal(formatValue('LONG', INT64_MAX), '9223372036854775807')
    assert.equal(formatValue('LONG', -(2 ** 63)), '-9223372036854775808')
    assert.equal(formatValue('LIST', ['a', 'b']), 'a,b')
    assert.equal(formatValue('STRING', null), null)
    for (const [value, text] of [
      [0.5, '0.5'],
      [0, '0.0'],
      [1, '1.0'],
      [0.001, '0.001'],
      [0.0001, '1.0E-4'],
      [0.00025, '2.5E-4'],
      [9_999_999, '9999999.0'],
      [10_000_000, '1.0E7'],
      [Number.MAX_VALUE, '1.7976931348623157E308'],
    ] as const) {
      assert.equal(formatValue('DOUBLE', value), text)
    }
  })

  it('keep all digits of a long', () => {
    assert.equal(canonicalText('x', long(0), ' +9007199254740993 '), '9007199254740993')
    assert.equal(canonicalText('x', double(0), '1e-5'), '1.0E-5')
    assert.equal(canonicalText('x', list([]), ' a , b,a'), 'a,b')
    assert.equal(canonicalText('x', int(0), '007'), '7')
    assert.equal(canonicalText('x', string(''), ' a b '), 'a b')
  })

  it('may be chosen in any case where the setting says so', () => {
    const setting = string('A', oneOfAnyCase('A', 'B'))
    assert.equal(parseSetting('x', setting, 'b'), 'b')
    assert.throws(() => parseSetting('x', setting, 'c'), /case insensitive/)
  })

  it('say of a setting without effect that it has none', () => {
    assert.match(
      documentation(topicSettings['local.retention.ms']),
      /no effect here, because .+\.$/,
    )
    assert.doesNotMatch(documentation(topicSettings['segment.ms']), /no effect/)
  })
})
