// @ts-check
// What this tab remembers while it is open. Storage may be forbidden, or full: then nothing is remembered.

/** @param {string} key @returns {string | null} */
export function readTab(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value */
export function writeTab(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch {}
}
