// Asks the reader's device for a passkey, or to sign with one. A form that wants it has data-passkey="create" or "get" and is hidden
// until it is known that this browser can; where the options come from stands in data-begin.
"use strict";

const canKeep = Boolean(window.PublicKeyCredential?.parseCreationOptionsFromJSON && navigator.credentials);

const say = (form, words) => {
  const place = form.querySelector("[data-passkey-says]");
  place.textContent = words;
  place.hidden = !words;
};

// What is to be made or signed. A refusal is a sentence of the server's.
const optionsFor = async (form) => {
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.dataset.begin, { method: "POST", body });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.sentence);
  return told;
};

const answerOf = async (form, options) => {
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = !canKeep;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (form.dataset.busy) return;
    form.dataset.busy = "yes";
    say(form, "");
    try {
      const credential = await answerOf(form, await optionsFor(form));
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch (error) {
      // The reader has turned away from his browser's question, which is no news to him.
      if (error.name !== "NotAllowedError") say(form, error.message);
    } finally {
      delete form.dataset.busy;
    }
  });
}
for (const note of document.querySelectorAll("[data-passkey-lacks]")) note.hidden = canKeep;
