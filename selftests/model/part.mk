# SPDX-License-Identifier: MIT
# The protocol's models (spin), and what ties them to task/state.h. See Documentation/model.rst.
model-dir := selftests/model
model-test := $(O)/test/model/transitions_test
model-full := wait window,NO_SWEEP,NO_YIELD window,NO_SWEEP window,NO_YIELD join cancel watch \
	batch,NO_SWEEP batch,ONE_WORKER lazy lazy,HANDS_OVER lazy,PACKS lazy,PACKS,HANDS_OVER cold cold,KEEPS \
	files files,FEW starved
model-plants := wait,PLANT_UNLOCK_FIRST wait,PLANT_CANCEL_ANY_WAIT wait,PLANT_RELEASE_WITHOUT_ENQUEUE \
	window,NO_SWEEP,PLANT_RELEASE_IGNORES_INBOX window,NO_SWEEP,PLANT_OWN_ALWAYS window,NO_YIELD,PLANT_SWEEP_DROPS \
	window,NO_SWEEP,PLANT_CLAIM_WITHOUT_EVICTING window,NO_SWEEP,PLANT_SOLO_WITH_MATES \
	window,NO_SWEEP,PLANT_SOLO_IGNORES_INBOX window,NO_SWEEP,PLANT_FREE_IGNORES_INBOX \
	join,PLANT_LOOK_AFTER_TRY join,PLANT_DETACH_LEAKS \
	cancel,PLANT_NO_BARRIER watch,PLANT_GIVES_UP_WITHOUT_LOOKING watch,PLANT_GIVES_BLINDLY \
	watch,PLANT_LOOKS_BEFORE_IT_PUSHES \
	watch,PLANT_GIVEN_WAITS_IN_THE_SLOT batch,NO_SWEEP,PLANT_NO_SECOND_LOOK \
	batch,NO_SWEEP,PLANT_MATE_WITHOUT_ITS_WINDOW batch,NO_SWEEP,PLANT_NOT_QUEUED_AGAIN \
	batch,NO_SWEEP,PLANT_QUANTUM_BEFORE_IT_RAN batch,ONE_WORKER,PLANT_LETS_GO_TOO_EARLY \
	lazy,PLANT_NO_LOCK lazy,PLANT_REGISTERS_LATE lazy,PLANT_FORGETS_UNLOCKED lazy,PLANT_MARK_AFTER \
	lazy,PLANT_COPIES_ALL lazy,PLANT_MERGES_LOCKED lazy,HANDS_OVER,PLANT_HANDS_OVER_CLOSED \
	lazy,PACKS,PLANT_READS_THE_IMAGE lazy,PACKS,PLANT_STAYS_COLD lazy,PACKS,PLANT_PACKS_AGAIN \
	lazy,PACKS,PLANT_PACKS_WHAT_IS_THERE \
	cold,PLANT_NO_LOCK cold,PLANT_ANSWERS_CLOSED cold,PLANT_ZEROES cold,PLANT_NO_DISCARD cold,PLANT_NO_DETACH \
	cold,KEEPS,PLANT_FORGETS_WHAT_CAME \
	files,PLANT_ASKS_NOBODY_TO_STOP files,PLANT_COUNTS_LATE files,PLANT_DOES_NOT_LOOK_AGAIN \
	files,PLANT_LEAVES_IT_TO_OTHERS files,PLANT_LEAVES_WHEN_CANCELED files,PLANT_POLLS_ONE_BATCH \
	files,PLANT_UNLOCKS_FIRST files,PLANT_WAITS_FOR_WHAT_IS_DONE files,PLANT_WAKES_FIRST \
	files,FEW,PLANT_FILLS_THE_RING \
	starved,PLANT_IS_FED_ONLY starved,PLANT_FEEDS_UNLOCKED starved,PLANT_GIVES_UP \
	starved,PLANT_QUEUES_BEFORE_IT_UNLINKS starved,PLANT_STAYS_ARMED starved,PLANT_FORGETS_THE_REST
model-run = "$(model-dir)/check-model.sh $(model-test) $(O)/model $(1)"

$(model-test): $(model-dir)/transitions_test.c
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) -Iuserspace/lib $(CFLAGS_COMMON) -MMD -MP -o $@ $<
-include $(model-test).d

.PHONY: check-transitions check-model check-model-plants
check-transitions: $(model-test)  ## state.h does what its table says
	@$(RUN_TESTS) -s transitions -t 60 "$(model-test) $(model-dir)/transitions.list"
check-model: $(model-test)  ## search every state of the protocol's models
	@$(RUN_TESTS) -s model -t 600 $(foreach m,$(model-full),$(call model-run,$(m)))
check-model-plants: $(model-test)  ## each bug planted in a model is caught
	@$(RUN_TESTS) -s model -v plants -t 600 $(foreach m,$(model-plants),$(call model-run,$(m)))
test-quick: check-transitions
check: check-model check-model-plants

.PHONY: check-mutations-lib
check-mutations-lib: $(O)/inject/lib/libgreenstk.a  ## bugs planted in the protocol's code, each of which a suite must catch
	@CACHE=$(CACHE) $(RUN_TESTS) -s mutations-lib -t 1800 "selftests/model/mutations.sh $(O)"
	@cat $(O)/logs/mutations-lib.plain/*.log
