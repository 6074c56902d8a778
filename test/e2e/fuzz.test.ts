/** The fuzzing of test/broker/fuzz.test.ts with the counts of this tier. */
import '../broker/fuzz.test.ts'
