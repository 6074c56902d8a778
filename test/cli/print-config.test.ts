import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { brokerSettings, loadConfig } from '../../broker/config.ts'
import { hiddenSettings } from '../../broker/settings/ignored.ts'
import { printConfig } from '../../cli/print-config.ts'

function fromFile(text: string) {
  return loadConfig({ file: { name: 'server.properties', text } })
}

describe('printConfig', () => {
  it('shows each setting with value, origin, words and range, and hides secrets', () => {
    let text = ''
    printConfig(fromFile('num.partitions=3\nnum.io.threads=4\nssl.key.password=hush'), part => {
      text += part
    })
    assert.match(
      text,
      /^num\.partitions=3 {2}\(server\.properties\)\n {4}How many.+\n {4}Valid: \[1,\.\.\.\]$/m,
    )
    assert.match(text, /^num\.io\.threads=4 {2}\(server\.properties, no effect\)$/m)
    assert.match(text, /^fetch\.max\.bytes=57671680 {2}\(default\)$/m)
    assert.match(text, /^ssl\.key\.password=\[hidden\]/m)
    assert.ok(!text.includes('hush'))
    assert.ok(text.split('\n').every(part => part.length <= 160))
    for (const [name] of brokerSettings) {
      const isHidden = Object.hasOwn(hiddenSettings, name)
      assert.equal(text.includes(`\n${name}=`), !isHidden, name)
    }
  })
})
