import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseProperties } from '../../../broker/settings/properties.ts'

describe('parseProperties', () => {
  const cases: [what: string, text: string, entries: Record<string, string>][] = [
    [
      'the three separators',
      'a=1\nb: 2\nc 3\nd  =  4\ne\t:5',
      { a: '1', b: '2', c: '3', d: '4', e: '5' },
    ],
    ['comments and blank lines', '# a=1\n! b=2\n\n   # c=3\nd=#4', { d: '#4' }],
    ['empty values', 'a=\nb', { a: '', b: '' }],
    ['blanks before a key and behind a value', '  a = 1  ', { a: '1  ' }],
    ['continued lines', 'a=1,\\\n   2,\\\n\t3\nb=4', { a: '1,2,3', b: '4' }],
    ['an escaped backslash at the end', 'a=1\\\\\nb=2', { a: '1\\', b: '2' }],
    ['a comment mark on a continued line', 'a=1\\\n#2', { a: '1#2' }],
    ['escapes', 'a\\ b\\=c=\\t\\u00e9\\q\\\\', { 'a b=c': '\té' + 'q\\' }],
    ['separators inside values', 'a=b=c:d', { a: 'b=c:d' }],
    ['all line ends', 'a=1\r\nb=2\rc=3', { a: '1', b: '2', c: '3' }],
    ['a last line that wants to go on', 'a=1\\', { a: '1' }],
    ['the last of equal keys', 'a=1\na=2', { a: '2' }],
    ['a broken unicode escape as it stands', 'a=\\u12', { a: 'u12' }],
  ]
  for (const [what, text, entries] of cases) {
    it(`reads ${what}`, () => {
      assert.deepEqual(Object.fromEntries(parseProperties(text)), entries)
    })
  }
})
