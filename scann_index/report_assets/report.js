const buttons = [...document.querySelectorAll(".chooser button")];
const sections = [...document.querySelectorAll(".gallery section")];

function choose(language) {
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  for (const section of sections) {
    section.hidden = section.dataset.language !== language;
  }
}

for (const button of buttons) {
  button.addEventListener("click", () => choose(button.dataset.language));
}
const first = buttons.find((button) => button.classList.contains("unseen")) ?? buttons[0];
if (first) choose(first.dataset.language);

const players = [...document.querySelectorAll("audio")];
for (const player of players) {
  player.addEventListener("play", () => {
    for (const other of players) if (other !== player) other.pause();
  });
}
