// The page: hands a file to the worker, and shows how far it is. No key and no plaintext is here.
const said = document.querySelector('#said');
const worker = new Worker('/worker.mjs', { type: 'module' });

document.querySelector('#file').addEventListener('change', ({ target }) => {
  const [file] = target.files;
  if (file) worker.postMessage({ file });
});

worker.addEventListener('message', ({ data: { progress, encrypted, error } }) => {
  if (progress !== undefined) document.querySelector('#progress').value = progress;
  if (error) said.textContent = `${error.code}: ${error.message}`;
  if (encrypted) {
    said.textContent = `Encrypted: ${encrypted.size} bytes.`;
    Object.assign(document.querySelector('#save'), { hidden: false, href: URL.createObjectURL(encrypted), download: 'encrypted.bin' });
  }
});
