"""The rules of the support desk: what is read, what is understood, when a person has to look."""

import pytest

from .reading import Example

EXAMPLE = Example("support_desk")
intents = EXAMPLE.module("intents")
VOCABULARY, RULES, ANSWERS = EXAMPLE.table("vocabulary"), EXAMPLE.table("intents"), EXAMPLE.table("knowledge")
TICKETS = [request["ticket"]["metadata"] for request in EXAMPLE.lines()]

# One plain sentence for each intent.
SENTENCES = {
    "card_arrival": "My new card hasn't come yet, where is it?",
    "card_delivery_estimate": "How soon will the card be delivered?",
    "order_physical_card": "I'd like to order a plastic card.",
    "getting_spare_card": "A second card for my husband would be nice.",
    "card_about_to_expire": "My card expires in May.",
    "visa_or_mastercard": "Is it a Visa or a Mastercard?",
    "activate_my_card": "How is the card activated?",
    "card_linking": "I found my card again, can I add it to the app?",
    "card_acceptance": "In which shops and restaurants can I use my card?",
    "country_support": "In how many countries of the world is your bank located?",
    "card_not_working": "My card has stopped working.",
    "contactless_not_working": "Contactless never works on the bus.",
    "apple_pay_or_google_pay": "Does Apple Pay work?",
    "card_swallowed": "The cash machine swallowed my card!",
    "lost_or_stolen_card": "I've lost my card on the beach.",
    "compromised_card": "I fear my card details were hacked.",
    "getting_virtual_card": "How do I create a virtual card?",
    "get_disposable_virtual_card": "I want a disposable card, how does that work?",
    "disposable_card_limits": "How many disposable cards may I create, is there a limit?",
    "virtual_card_not_working": "My virtual card was declined.",
    "get_physical_card": "Where do I see my PIN?",
    "pin_blocked": "My PIN is blocked after too many tries.",
    "change_pin": "Can I choose another PIN? I want to change it.",
    "passcode_forgotten": "Oh dear, I forgot the password again.",
    "lost_or_stolen_phone": "A gull has stolen my phone on holiday.",
    "declined_card_payment": "The baker says my card payment was declined.",
    "pending_card_payment": "My card payment for the piano is still pending.",
    "reverted_card_payment?": "The payment for my shoes was cancelled and came back.",
    "transaction_charged_twice": "The shop charged me twice.",
    "card_payment_fee_charged": "Why a fee for paying by card in the bakery?",
    "card_payment_not_recognised": "I don't recognise this payment.",
    "card_payment_wrong_exchange_rate": "The exchange rate for what I bought abroad is wrong.",
    "extra_charge_on_statement": "There's an extra charge of £1 on my statement.",
    "request_refund": "I want the lamp refunded.",
    "Refund_not_showing_up": "My refund hasn't arrived.",
    "direct_debit_payment_not_recognised": "I know nothing of this direct debit.",
    "atm_support": "Where do I find a cash machine?",
    "declined_cash_withdrawal": "The cash machine refused to give me money.",
    "pending_cash_withdrawal": "My withdrawal is still pending.",
    "cash_withdrawal_charge": "What does it cost to withdraw cash?",
    "cash_withdrawal_not_recognised": "I did not make this cash withdrawal.",
    "wrong_amount_of_cash_received": "The cash machine paid out the wrong amount.",
    "wrong_exchange_rate_for_cash_withdrawal": "The exchange rate for my withdrawal abroad is wrong.",
    "pending_transfer": "My transfer is still being processed.",
    "declined_transfer": "The transfer for my rent was declined.",
    "failed_transfer": "My transfer has failed.",
    "cancel_transfer": "Please cancel my transfer, the account is wrong.",
    "transfer_timing": "How long will a transfer to the tax office take?",
    "transfer_fee_charged": "Why was I charged a fee for my transfer?",
    "transfer_into_account": "How do I transfer money from my other bank into this account?",
    "transfer_not_received_by_recipient": "My friend hasn't received the money I sent.",
    "balance_not_updated_after_bank_transfer": "I made a transfer yesterday but my balance hasn't changed.",
    "beneficiary_not_allowed": "I can't add this beneficiary.",
    "receiving_money": "Can my salary be paid into this account?",
    "top_up_failed": "My top-up simply doesn't work.",
    "pending_top_up": "My top-up from last night is pending.",
    "top_up_reverted": "My top-up was reverted.",
    "top_up_limits": "What is the maximum for a top-up?",
    "topping_up_by_card": "Topping up with my card: how is it done?",
    "top_up_by_card_charge": "Is there a fee if one tops up by card?",
    "top_up_by_bank_transfer_charge": "Is there a charge for a SEPA transfer?",
    "top_up_by_cash_or_cheque": "Could one top up in cash?",
    "automatic_top_up": "Can you top up automatically when I run low?",
    "verify_top_up": "I need the code to verify my top-up.",
    "supported_cards_and_currencies": "Can I top up with American Express?",
    "balance_not_updated_after_cheque_or_cash_deposit": "I deposited cash and don't see it.",
    "exchange_rate": "What are your exchange rates?",
    "exchange_charge": "What does it cost to exchange money?",
    "exchange_via_app": "Can I exchange pounds and dollars in the app?",
    "fiat_currency_support": "Which currencies can I hold?",
    "age_limit": "How old must I be?",
    "edit_personal_details": "We moved to Leeds and have a new address.",
    "why_verify_identity": "Why do you need my ID?",
    "unable_to_verify_identity": "I couldn't verify my identity.",
    "verify_my_identity": "With which papers do I verify my identity, and how?",
    "verify_source_of_funds": "Why do you ask for the source of my funds?",
    "terminate_account": "Close my account, I am emigrating.",
}


# --- message -> words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The cards were delivered", "the card was delivering"),
        ("I withdrew money", "I withdraw money"),
        ("I CAN’T", "i can't"),
        ("cannot", "couldn't"),
        ("fees", "fee"),
        ("businesses", "business"),
        ("currencies", "currency"),
        ("closing, closed", "close close"),
    ],
)
def test_forms_of_a_word_are_read_alike(one, other):
    content = [word for word in intents.words_of(one) if word not in intents.FILLERS]
    assert content == [word for word in intents.words_of(other) if word not in intents.FILLERS]


def test_what_has_happened_differs_from_what_is_wanted():
    assert intents.words_of("cancelled") != intents.words_of("cancel")


def test_a_contraction_leaves_its_negation_to_the_words_after_it():
    assert intents.words_of("can't pay") == ["barred", "not", "pay"]


# --- words -> ideas -----------------------------------------------------------------------------------------------


def test_a_phrase_is_found_across_fillers():
    assert "not_arrived" in intents.ideas_of("it hasn't really been delivered yet")


def test_a_phrase_is_not_found_across_other_words():
    assert "not_arrived" not in intents.ideas_of("not a card was delivered")


def test_the_longest_phrase_uses_up_its_words():
    assert intents.ideas_of("how long") == {"how_long"}


def test_an_idea_may_include_others():
    assert intents.ideas_of("bank transfer") >= {"bank_transfer", "transfer"}


def test_words_without_an_idea_express_none():
    assert intents.ideas_of("the weather in the mountains") == set()


# --- ideas -> verdict ---------------------------------------------------------------------------------------------


def test_there_is_a_sentence_for_each_of_the_77_intents():
    assert len(intents.INTENTS) == 77
    assert set(SENTENCES) == set(intents.INTENTS)


@pytest.mark.parametrize(("intent", "sentence"), SENTENCES.items())
def test_every_intent_is_reached_by_a_plain_sentence(intent, sentence):
    verdict = intents.classify(sentence)
    assert verdict.category == intent
    assert not verdict.doubt


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ("i lost the card while skiing", "lost_or_stolen_card"),
        ("I LOST THE CARD WHILE SKIING!!!", "lost_or_stolen_card"),
        ("well... hi, so I think I have just lost my card 😭", "lost_or_stolen_card"),
        ("I’ve lost my card skiing", "lost_or_stolen_card"),
    ],
)
def test_tone_and_typography_make_no_difference(message, category):
    assert intents.classify(message).category == category


@pytest.mark.parametrize(
    ("subject", "trouble", "category"),
    [
        ("transfer", "pending", "pending_transfer"),
        ("transfer", "declined", "declined_transfer"),
        ("top-up", "pending", "pending_top_up"),
        ("top-up", "declined", "top_up_failed"),
        ("card payment", "pending", "pending_card_payment"),
        ("card payment", "declined", "declined_card_payment"),
        ("cash withdrawal", "pending", "pending_cash_withdrawal"),
        ("cash withdrawal", "declined", "declined_cash_withdrawal"),
    ],
)
def test_a_subject_meets_a_trouble(subject, trouble, category):
    assert intents.classify(f"It says that my {subject} is {trouble}, what now?").category == category


def test_confidence_grows_with_the_lead():
    assert intents.confidence_of(0) == 0.5
    assert [intents.confidence_of(lead) for lead in range(30)] == sorted(map(intents.confidence_of, range(30)))
    assert intents.confidence_of(1_000) <= 1


def test_the_runner_up_is_another_intent():
    verdict = intents.classify(SENTENCES["pin_blocked"])
    assert verdict.runner_up in intents.INTENTS
    assert verdict.runner_up != verdict.category


def test_a_verdict_depends_on_nothing_but_the_message():
    assert {intents.classify(SENTENCES["card_arrival"]) for _ in range(20)} == {
        intents.classify(SENTENCES["card_arrival"])
    }


# --- when a person has to look ------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["", "   \n", "?!", "🤷", "hello", "привет", "qwertz", "\x00", "the the the"])
def test_what_says_nothing_needs_a_person(message):
    assert intents.classify(message) == ("unrecognised", 0.0, "unrecognised", "Nothing in it was recognised.")


def test_a_vague_hint_needs_a_person():
    assert "vague" in intents.classify("It was yesterday.").doubt


def test_possible_theft_that_could_be_harmless_needs_a_person():
    assert "theft" in intents.classify("Why was a payment declined that I never made?").doubt


def test_certain_theft_is_answered_at_once():
    verdict = intents.classify("A monkey has stolen my card")
    assert (verdict.category, verdict.doubt) == ("lost_or_stolen_card", "")


def test_few_of_the_customers_in_the_example_need_a_person():
    needing = [ticket["customer"] for ticket in TICKETS if intents.classify(ticket["message"]).doubt]
    assert needing == ["Jack Whitfield", "Quentin Dubois", "Anton Weber", "Ivan Horvat", "Nora Quinn"]


def test_a_message_of_any_length_is_read_up_to_a_limit():
    message = "A monkey has stolen my card. " + "i " * 1_000_000 + "refund " * 1_000
    assert intents.classify(message).category == "lost_or_stolen_card"


def test_priorities():
    assert intents.priority_of("compromised_card") == "high"
    assert intents.priority_of("card_arrival") == "normal"
    assert intents.priority_of("exchange_rate") == "low"
    assert intents.priority_of("unrecognised") == "normal"


# --- the tables hang together -------------------------------------------------------------------------------------


def test_every_intent_has_an_answer():
    assert set(ANSWERS) == set(intents.INTENTS)
    assert all(40 <= len(answer) <= 400 for answer in ANSWERS.values())


def test_every_clue_is_an_idea():
    clues = {idea for weights in intents.WEIGHTS.values() for clue in weights for idea in clue.split(" + ")}
    assert clues <= set(intents.IDEAS)


def test_every_idea_is_of_use():
    clues = {idea for weights in intents.WEIGHTS.values() for clue in weights for idea in clue.split(" + ")}
    assert set(intents.IDEAS) - clues - set(VOCABULARY["includes"]) == {"courtesy"}


def test_included_ideas_exist():
    names = " ".join([*VOCABULARY["includes"], *VOCABULARY["includes"].values()]).split()
    assert set(names) <= set(intents.IDEAS)


def test_weights_are_small_whole_numbers():
    desks = RULES["desks"].values()
    weights = [
        weight
        for desk in desks
        for clues in (desk.get("clues", {}), *desk["intents"].values())
        for weight in clues.values()
    ]
    assert all(type(weight) is int and 0 < abs(weight) <= 12 for weight in weights)


def test_no_phrase_is_listed_twice_for_an_idea():
    for idea, phrases in intents.IDEAS.items():
        read = [tuple(intents.words_of(phrase)) for phrase in intents.spelled_out(phrases)]
        assert len(read) == len(set(read)), idea


def test_phrases_fit_the_longest_that_is_read():
    phrases = [phrase for text in intents.IDEAS.values() for phrase in intents.spelled_out(text)]
    assert all(0 < len(intents.words_of(phrase)) <= intents.PHRASE_WORDS_MAX for phrase in phrases)


def test_dangers_and_priorities_name_intents():
    assert set(intents.INTENTS) >= intents.DANGEROUS
    assert set(intents.INTENTS) >= set(intents.PRIORITIES)
    assert {intents.priority_of(intent) for intent in intents.DANGEROUS} == {"high"}


def test_a_reading_is_of_one_word_only():
    tokens = " ".join(VOCABULARY["readings"].values()).split()
    assert len(tokens) == len(set(tokens))


def test_the_input_is_forty_tickets_of_different_customers():
    assert len(TICKETS) == 40
    assert len({ticket["customer"] for ticket in TICKETS}) == 40
